/** The hashes that LUKS headers name. */

import { createHash } from "node:crypto";

const DIGEST_LENGTHS = { md5: 16, sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64, ripemd160: 20 } as const;

/** A hash that key derivation and IVs can be made with. */
export type HashName = keyof typeof DIGEST_LENGTHS;

/** In QEMU's order. */
export const HASH_NAMES = Object.keys(DIGEST_LENGTHS) as readonly HashName[];

/** `undefined` for a hash that is not known here. */
export function hashNamed(name: string): HashName | undefined {
  return HASH_NAMES.find((known) => known === name);
}

/** Bytes of a digest. */
export function digestLength(hash: HashName): number {
  return DIGEST_LENGTHS[hash];
}

/** Its digest, `digestLength` bytes. */
export function digestOf(hash: HashName, bytes: Uint8Array): Uint8Array {
  return createHash(hash).update(bytes).digest();
}
