import { InlineOffload, SimulatedClock } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { mergeKey, splitKey } from "./anti-forensic.ts";
import { HASH_NAMES } from "./hash-name.ts";
import { deriveKey, iterationsFor } from "./key-derivation.ts";
import { decodeLuksHeader, encodeLuksHeader, LUKS_HEADER_LENGTH, materialLength, STRIPES } from "./luks-header.ts";
import { keyAlgorithmsOf, unlockLuks } from "./luks-keys.ts";
import { createLuks, type NewLuks } from "./new-luks.ts";

/** Not the same twice. */
function counted(): { bytes(length: number): Uint8Array } {
  let next = 0;
  return { bytes: (length) => Uint8Array.from({ length }, () => (next = (next * 31 + 7) % 251)) };
}

/** Goes on by 50 ms whenever it is looked at. */
function steppingClock(): SimulatedClock {
  let now = 0;
  return Object.assign(new SimulatedClock(), { now: () => (now += 50) });
}

const offload = new InlineOffload();
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const QUICK: NewLuks = {
  spec: { keyBits: 256, mode: "xts", ivGenerator: "plain64" },
  hash: "sha256",
  passphrase: text("open sesame"),
  iterationTimeMs: 0,
};

function make(options: Partial<NewLuks> = {}): ReturnType<typeof createLuks> {
  return createLuks({ ...QUICK, ...options }, { clock: steppingClock(), offload, entropy: counted() });
}

function unlock(area: Uint8Array, words: string, signal?: AbortSignal): Promise<Uint8Array> {
  const readMaterial = async (offset: number, length: number): Promise<Uint8Array> => area.slice(offset, offset + length);
  return unlockLuks(decodeLuksHeader(area, area.length), text(words), { offload, readMaterial, signal });
}

describe("PBKDF2", () => {
  // RFC 6070.
  it.each([
    [1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"],
    [2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"],
    [4096, "4b007901b765489abead49d926f721d065a429c1"],
  ])("%i rounds", async (iterations, expected) => {
    const key = await deriveKey({ offload }, { hash: "sha1", password: text("password"), salt: text("salt"), iterations, length: 20 });
    expect(Buffer.from(key).toString("hex")).toBe(expected);
  });

  it("counts rounds by the clock, and fits them into the header", async () => {
    const clock = steppingClock();
    expect(await iterationsFor({ offload, clock }, "sha256", 32, 100)).toBe((2 ** 14 / 50) * 100);
    await expect(iterationsFor({ offload, clock }, "sha256", 32, 10 ** 9)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("the anti-forensic splitter", () => {
  it.each(HASH_NAMES)("gives back with %s what it took", (hash) => {
    for (const length of [16, 32, 64]) {
      const key = counted().bytes(length);
      const random = new Uint8Array(length * 6).map((_, index) => (index * 97) % 256);
      const material = splitKey(hash, key, random);
      expect(material.subarray(0, random.length)).toEqual(random);
      expect(mergeKey(hash, material, length)).toEqual(key);
      for (const at of [0, length * 3 + 1, material.length - 1]) {
        const damaged = material.slice();
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        expect(mergeKey(hash, damaged, length)).not.toEqual(key);
      }
    }
  });
});

describe("a new header", () => {
  it("opens with its passphrase alone", async () => {
    const { area, masterKey } = await make();
    expect(await unlock(area, "open sesame")).toEqual(masterKey);
    const refused = await unlock(area, "open sesamE").catch((error: unknown) => error as Error);
    expect(refused).toMatchObject({ code: "NOT_ALLOWED", message: "Invalid password, cannot unlock any keyslot" });
  });

  it("is what it was after encoding", async () => {
    const { area } = await make({ spec: { keyBits: 256, mode: "cbc", ivGenerator: "essiv", ivHash: "sha256" }, hash: "sha512" });
    const header = decodeLuksHeader(area, area.length);
    expect(Buffer.from(encodeLuksHeader(header)).equals(area.subarray(0, LUKS_HEADER_LENGTH))).toBe(true);
    expect(header).toMatchObject({ cipherName: "aes", cipherMode: "cbc-essiv:sha256", hash: "sha512", keyLength: 32 });
    expect(header.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(header.payloadOffset).toBe(2056 * 512);
  });

  it("is not made for keys that no slot has room for", async () => {
    await expect(make({ spec: { keyBits: 192, mode: "cbc", ivGenerator: "plain64" } })).rejects.toMatchObject({
      code: "UNSUPPORTED_FEATURE",
    });
  });

  it("opens no slot after the signal", async () => {
    const { area } = await make();
    await expect(unlock(area, "open sesame", AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });
});

describe("a header is refused", () => {
  const SLOT = 208;
  const edits: readonly (readonly [what: string, code: string, message: string, edit: (bytes: Buffer) => void])[] = [
    ["without the magic", "CORRUPT_IMAGE", "magic", (bytes) => bytes.writeUInt8(0, 0)],
    ["of version 2", "UNSUPPORTED_FEATURE", "argon2", (bytes) => bytes.writeUInt16BE(2, 6)],
    ["of version 3", "UNSUPPORTED_FEATURE", "LUKS version 3", (bytes) => bytes.writeUInt16BE(3, 6)],
    ["with a cipher name without end", "CORRUPT_IMAGE", "cipher name", (bytes) => bytes.fill(65, 8, 40)],
    ["with a mode without end", "CORRUPT_IMAGE", "cipher mode", (bytes) => bytes.fill(65, 40, 72)],
    ["with a hash without end", "CORRUPT_IMAGE", "hash name", (bytes) => bytes.fill(65, 72, 104)],
    ["with a UUID without end", "CORRUPT_IMAGE", "UUID", (bytes) => bytes.fill(65, 168, 208)],
    ["with its payload in the header", "CORRUPT_IMAGE", "overlaps the header", (bytes) => bytes.writeUInt32BE(7, 104)],
    ["with key material out of its area", "CORRUPT_IMAGE", "past the end of its area", (bytes) => bytes.writeUInt32BE(2 ** 32 - 1, 104)],
    ["without a key", "CORRUPT_IMAGE", "0 bytes", (bytes) => bytes.writeUInt32BE(0, 108)],
    ["with a huge key", "CORRUPT_IMAGE", "4294967295 bytes", (bytes) => bytes.writeUInt32BE(2 ** 32 - 1, 108)],
    ["with a digest of 0 rounds", "CORRUPT_IMAGE", "digest is derived in 0", (bytes) => bytes.writeUInt32BE(0, 164)],
    ["with a digest of too many rounds", "UNSUPPORTED_FEATURE", "4294967295 rounds", (bytes) => bytes.writeUInt32BE(2 ** 32 - 1, 164)],
    ["with a slot in a third state", "CORRUPT_IMAGE", "slot 1 has state 0x1", (bytes) => bytes.writeUInt32BE(1, SLOT + 48)],
    ["with a slot of 0 rounds", "CORRUPT_IMAGE", "slot 0 is derived in 0", (bytes) => bytes.writeUInt32BE(0, SLOT + 4)],
    ["with a slot of too many rounds", "UNSUPPORTED_FEATURE", "rounds, more than", (bytes) => bytes.writeUInt32BE(2 ** 32 - 1, SLOT + 4)],
    ["with other stripes", "CORRUPT_IMAGE", "3999 stripes", (bytes) => bytes.writeUInt32BE(STRIPES - 1, SLOT + 44)],
    [
      "with a slot in the header",
      "CORRUPT_IMAGE",
      "slot 3 at offset 0xe00 overlaps the header",
      (bytes) => bytes.writeUInt32BE(7, SLOT + 3 * 48 + 40),
    ],
    ["with a slot in the payload", "CORRUPT_IMAGE", "overlaps the payload", (bytes) => bytes.writeUInt32BE(4000, SLOT + 40)],
    ["with slots that overlap", "CORRUPT_IMAGE", "slots 0 and 1 overlaps", (bytes) => bytes.writeUInt32BE(9, SLOT + 48 + 40)],
  ];
  it.each(edits)("%s", async (_what, code, message, edit) => {
    const { area } = await make();
    const bytes = Buffer.from(area.slice(0, LUKS_HEADER_LENGTH));
    expect(decodeLuksHeader(bytes, area.length).slots).toHaveLength(8);
    edit(bytes);
    let error: unknown;
    try {
      decodeLuksHeader(bytes, area.length);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it("that is cut off", () => {
    expect(() => decodeLuksHeader(new Uint8Array(591), 2 ** 21)).toThrow("591 bytes are too short");
    expect(() => decodeLuksHeader(new Uint8Array(592), 100)).toThrow("100 bytes are too short");
  });

  it("with algorithms that nobody here knows, when it is to be opened", async () => {
    const { area } = await make();
    const header = decodeLuksHeader(area, area.length);
    expect(materialLength(header)).toBe(64 * STRIPES);
    expect(() => keyAlgorithmsOf({ ...header, hash: "whirlpool" })).toThrow("hash 'whirlpool' is not supported");
    expect(() => keyAlgorithmsOf({ ...header, cipherName: "serpent" })).toThrow("cipher 'serpent' is not supported");
    expect(() => keyAlgorithmsOf({ ...header, cipherMode: "cbc-plain64", keyLength: 24 })).toThrow("aes-192");
  });
});
