import { createCipheriv, createDecipheriv } from "node:crypto";
import { describe, expect, test } from "vitest";
import { loadBlockCiphers } from "./block-ciphers.ts";

const { aes } = await loadBlockCiphers();

describe.runIf(aes !== undefined)("AES of the host", () => {
  const blocks = Uint8Array.from({ length: 16 * 33 }, (_, index) => index * 7);

  test.each([16, 24, 32])("works in place as Node's does, with a key of %i bytes", (length) => {
    const key = Uint8Array.from({ length }, (_, index) => 200 - index);
    const name = `aes-${length * 8}-ecb`;
    const bytes = Uint8Array.from(blocks);
    const encipher = aes?.("encrypt", key);
    const decipher = aes?.("decrypt", key);
    key.fill(0);
    const kept = Uint8Array.from({ length }, (_, index) => 200 - index);
    for (const part of [bytes.subarray(0, 16), bytes.subarray(16, 48), bytes.subarray(48)]) encipher?.(part);
    expect(createCipheriv(name, kept, null).setAutoPadding(false).update(blocks).equals(bytes)).toBe(true);
    for (const part of [bytes.subarray(0, 256), bytes.subarray(256)]) decipher?.(part);
    expect(Buffer.compare(bytes, blocks)).toBe(0);
    decipher?.(bytes);
    expect(createDecipheriv(name, kept, null).setAutoPadding(false).update(blocks).equals(bytes)).toBe(true);
  });

  test("takes whole blocks alone", () => {
    expect(() => aes?.("encrypt", new Uint8Array(32))(new Uint8Array(17))).toThrow("whole blocks");
    expect(() => aes?.("encrypt", new Uint8Array(15))).toThrow("15 bytes are no key for AES");
  });
});
