import { createCipheriv, createHash } from "node:crypto";
import { type BlockCiphers, loadBlockCiphers } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { cipherSpecOf, type CipherSpec } from "./cipher-spec.ts";
import { createSectorCipher, SECTOR_LENGTH } from "./sector-cipher.ts";
import { MASKED_LENGTH } from "./xts-mask.ts";

const hostCiphers = await loadBlockCiphers();
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** Numbers that do not repeat soon. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const keyOf = (length: number): Buffer => pattern(length + 100).subarray(100);

/** A sector at a time with the library's own mode, whose vector is told. */
function bySector(name: string, key: Uint8Array, bytes: Uint8Array, iv: (index: number) => Uint8Array): Buffer {
  const sectors: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += SECTOR_LENGTH) {
    const cipher = createCipheriv(name, key, iv(at / SECTOR_LENGTH)).setAutoPadding(false);
    sectors.push(cipher.update(bytes.subarray(at, at + SECTOR_LENGTH)));
  }
  return Buffer.concat(sectors);
}

function plain64(sector: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeBigUInt64LE(BigInt(sector));
  return iv;
}

describe("XTS", () => {
  // IEEE 1619-2007, annex B, vectors 4 and 10 (data units of 512 bytes): the bytes 00 01 … ff, twice.
  const counting = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
  it.each([
    {
      keyBits: 128 as const,
      key: "27182818284590452353602874713526 31415926535897932384626433832795",
      sector: 0,
      first: "27a7479befa1d476489f308cd4cfa6e2 a96e4bbe3208ff25287dd3819616e89c",
    },
    {
      keyBits: 256 as const,
      key: "2718281828459045235360287471352662497757247093699959574966967627 3141592653589793238462643383279502884197169399375105820974944592",
      sector: 0xff,
      first: "1c3b3a102f770386e4836c99e370cf9b ea00803f5e482357a4ae12d414a3e63b",
    },
  ])("is the standard's, $keyBits bits", ({ keyBits, key, sector, first }) => {
    const out = new Uint8Array(512);
    const cipher = createSectorCipher({ keyBits, mode: "xts", ivGenerator: "plain64" }, hex(key));
    cipher.encrypt(sector, counting, out);
    expect(Buffer.from(out.subarray(0, 32))).toEqual(hex(first));
    cipher.decrypt(sector, out, out);
    expect(counting.equals(out)).toBe(true);
  });

  const ways: readonly (readonly [keyBits: 128 | 256, way: string, ciphers: BlockCiphers])[] = [
    [128, "Node's ciphers", {}],
    [256, "Node's ciphers", {}],
    [128, "the host's ciphers, where there are some", hostCiphers],
    [256, "the host's ciphers, where there are some", hostCiphers],
  ];
  it.each(ways)("of any number of sectors is that of each, %i bits, by %s", (keyBits, _way, ciphers) => {
    const key = keyOf(keyBits / 4);
    const cipher = createSectorCipher({ keyBits, mode: "xts", ivGenerator: "plain64" }, key, ciphers);
    for (const sectors of [1, 2, 3, 4, 5, MASKED_LENGTH / 512 - 1, MASKED_LENGTH / 512, MASKED_LENGTH / 512 + 1, 700]) {
      const bytes = pattern(sectors * 512);
      const first = 2 ** 32 - 2;
      const expected = bySector(`aes-${keyBits}-xts`, key, bytes, (index) => plain64(first + index));
      const out = new Uint8Array(bytes.length);
      cipher.encrypt(first, bytes, out);
      expect(expected.equals(out)).toBe(true);
      cipher.decrypt(first, expected, out);
      expect(bytes.equals(out)).toBe(true);
    }
  });
});

describe("other modes", () => {
  const bytes = pattern(512 * 9);
  const essivKey = (key: Uint8Array): Uint8Array => createHash("sha256").update(key).digest();
  const cases: readonly (readonly [mode: string, keyLength: number, iv: (key: Uint8Array, sector: number) => Uint8Array])[] = [
    ["cbc-plain64", 32, (_key, sector) => plain64(sector)],
    ["cbc-plain", 16, (_key, sector) => plain64(sector % 2 ** 32)],
    ["cbc-plain64", 24, (_key, sector) => plain64(sector)],
    ["cbc-essiv:sha256", 32, (key, sector) => createCipheriv("aes-256-ecb", essivKey(key), null).update(plain64(sector))],
    ["xts-essiv:sha256", 64, (key, sector) => createCipheriv("aes-256-ecb", essivKey(key), null).update(plain64(sector))],
    ["ctr-plain64", 32, (_key, sector) => plain64(sector)],
  ];
  it.each(cases)("%s, key of %i bytes", (cipherMode, keyLength, iv) => {
    const key = keyOf(keyLength);
    const spec = cipherSpecOf({ cipherName: "aes", cipherMode, keyLength });
    const first = 2 ** 32 - 4;
    const expected = bySector(`aes-${spec.keyBits}-${spec.mode}`, key, bytes, (index) => iv(key, first + index));
    const cipher = createSectorCipher(spec, key);
    const out = new Uint8Array(bytes.length);
    cipher.encrypt(first, bytes, out);
    expect(expected.equals(out)).toBe(true);
    cipher.decrypt(first, out, out);
    expect(bytes.equals(out)).toBe(true);
  });
  it("ecb-plain64 looks at no vector", () => {
    const key = keyOf(16);
    const cipher = createSectorCipher({ keyBits: 128, mode: "ecb", ivGenerator: "plain64" }, key);
    const out = new Uint8Array(bytes.length);
    cipher.encrypt(5, bytes, out);
    expect(createCipheriv("aes-128-ecb", key, null).setAutoPadding(false).update(bytes).equals(out)).toBe(true);
    cipher.decrypt(77, out, out);
    expect(bytes.equals(out)).toBe(true);
  });
});

describe("ciphers by their words", () => {
  const refused: readonly (readonly [cipherName: string, cipherMode: string, keyLength: number, message: string])[] = [
    ["twofish", "xts-plain64", 64, "cipher 'twofish' is not supported"],
    ["aes", "lrw-plain64", 32, "cipher mode 'lrw-plain64' is not supported"],
    ["aes", "cbc", 32, "cipher mode 'cbc' is not supported"],
    ["aes", "cbc-random", 32, "cipher mode 'cbc-random' is not supported"],
    ["aes", "cbc-essiv", 32, "cipher mode 'cbc-essiv' is not supported"],
    ["aes", "cbc-essiv:sha1", 32, "cipher mode 'cbc-essiv:sha1' is not supported"],
    ["aes", "xts-plain64", 16, "16 bytes are no key for AES in mode 'xts-plain64'"],
    ["aes", "cbc-plain64", 64, "64 bytes are no key for AES in mode 'cbc-plain64'"],
  ];
  it.each(refused)("%s %s with %i bytes is refused", (cipherName, cipherMode, keyLength, message) => {
    expect(() => cipherSpecOf({ cipherName, cipherMode, keyLength })).toThrow(message);
  });
  it("are read as they are meant", () => {
    const spec: CipherSpec = { keyBits: 256, mode: "cbc", ivGenerator: "essiv", ivHash: "sha256" };
    expect(cipherSpecOf({ cipherName: "aes", cipherMode: "cbc-essiv:sha256", keyLength: 32 })).toEqual(spec);
  });
});
