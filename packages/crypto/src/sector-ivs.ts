/** Initialization vectors by sector number. */

import { createCipheriv } from "node:crypto";
import type { CipherSpec } from "./cipher-spec.ts";
import { digestOf } from "./hash-name.ts";

/** Bytes of an AES block, and of a vector. */
export const BLOCK_LENGTH = 16;

/** The vectors of `count` sectors, one behind the other. */
export type SectorIvs = (firstSector: number, count: number) => Uint8Array;

/** `key` is the whole master key, which essiv hashes. LUKS1 specification, "Cipher modes"; dm-crypt's plain, plain64 and essiv. */
export function sectorIvs({ ivGenerator, ivHash }: CipherSpec, key: Uint8Array): SectorIvs {
  if (ivGenerator === "plain") return (first, count) => sectorNumbers(first, count, 2 ** 32);
  if (ivGenerator === "plain64" || ivHash === undefined) return (first, count) => sectorNumbers(first, count, 2 ** 53);
  const salt = digestOf(ivHash, key);
  const cipher = createCipheriv(`aes-${salt.length * 8}-ecb`, salt, null).setAutoPadding(false);
  return (first, count) => cipher.update(sectorNumbers(first, count, 2 ** 53));
}

/** Sector numbers below `limit`, the lowest byte first, each filled up with zeros to a block. */
function sectorNumbers(first: number, count: number, limit: number): Uint8Array {
  const words = new Uint32Array(count * 4);
  let low = first % 2 ** 32;
  let high = Math.floor((first % limit) / 2 ** 32);
  for (let index = 0; index < count; index++) {
    words[index * 4] = low;
    words[index * 4 + 1] = high;
    low++;
    if (low === 2 ** 32) {
      low = 0;
      high = limit === 2 ** 32 ? 0 : high + 1;
    }
  }
  return new Uint8Array(words.buffer);
}
