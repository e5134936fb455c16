/** Enciphers and deciphers whole sectors of 512 bytes. */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { assert, type BlockCiphers, loadBlockCiphers } from "@coblock/core";
import { type CipherSpec, keyLengthOf } from "./cipher-spec.ts";
import { BLOCK_LENGTH, sectorIvs, type SectorIvs } from "./sector-ivs.ts";
import { XtsCipher } from "./xts-cipher.ts";

/** Bytes that share an initialization vector. */
export const SECTOR_LENGTH = 512;

/** `into` takes what becomes of `from`, whole sectors from `firstSector` on, and may be the same bytes. */
export interface SectorCipher {
  encrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void;
  decrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void;
}

/** The cipher with its key, which it keeps, for much data: in the fastest way that the host has. */
export async function createDiskCipher(spec: CipherSpec, key: Uint8Array): Promise<SectorCipher> {
  return createSectorCipher(spec, key, await loadBlockCiphers());
}

/** The cipher with its key, which it keeps. */
export function createSectorCipher(spec: CipherSpec, key: Uint8Array, { aes }: BlockCiphers = {}): SectorCipher {
  assert(key.length === keyLengthOf(spec), "the key is as long as the cipher's");
  const ivs = sectorIvs(spec, key);
  const name = `aes-${spec.keyBits}-${spec.mode}`;
  switch (spec.mode) {
    case "xts":
      return new XtsCipher({ keyBits: spec.keyBits, key, ivs, aes });
    case "cbc":
      return new CbcCipher({ name, key, ivs });
    case "ctr":
      return new CounterCipher({ name, key, ivs });
    case "ecb":
      return new BlockCipher(name, key);
  }
}

/** A cipher by its name in OpenSSL, and where its initial vectors come from. */
interface CipherParts {
  readonly name: string;
  readonly key: Uint8Array;
  readonly ivs: SectorIvs;
}

class CbcCipher implements SectorCipher {
  readonly #parts: CipherParts;

  constructor(parts: CipherParts) {
    this.#parts = parts;
  }

  /** Each block depends on the one before it, so sectors go one by one. */
  encrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    const { name, key } = this.#parts;
    const ivs = this.#parts.ivs(firstSector, from.length / SECTOR_LENGTH);
    for (let at = 0, iv = 0; at < from.length; at += SECTOR_LENGTH, iv += BLOCK_LENGTH) {
      const cipher = createCipheriv(name, key, ivs.subarray(iv, iv + BLOCK_LENGTH)).setAutoPadding(false);
      into.set(cipher.update(from.subarray(at, at + SECTOR_LENGTH)), at);
    }
  }

  /** All sectors as one chain: the first block of each comes out under the end of the sector before it, and is put under its own vector. */
  decrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    const { name, key } = this.#parts;
    const ivs = this.#parts.ivs(firstSector, from.length / SECTOR_LENGTH);
    const plain = createDecipheriv(name, key, ivs.subarray(0, BLOCK_LENGTH)).setAutoPadding(false).update(from);
    for (let at = SECTOR_LENGTH, iv = BLOCK_LENGTH; at < from.length; at += SECTOR_LENGTH, iv += BLOCK_LENGTH) {
      for (let byte = 0; byte < BLOCK_LENGTH; byte++) {
        const chained = from[at - BLOCK_LENGTH + byte] ?? 0;
        plain[at + byte] = (plain[at + byte] ?? 0) ^ chained ^ (ivs[iv + byte] ?? 0);
      }
    }
    into.set(plain);
  }
}

/** A stream that begins at the sector's vector; deciphering is the same. */
class CounterCipher implements SectorCipher {
  readonly #parts: CipherParts;

  constructor(parts: CipherParts) {
    this.#parts = parts;
  }

  encrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    const { name, key } = this.#parts;
    const ivs = this.#parts.ivs(firstSector, from.length / SECTOR_LENGTH);
    for (let at = 0, iv = 0; at < from.length; at += SECTOR_LENGTH, iv += BLOCK_LENGTH) {
      const cipher = createCipheriv(name, key, ivs.subarray(iv, iv + BLOCK_LENGTH));
      into.set(cipher.update(from.subarray(at, at + SECTOR_LENGTH)), at);
    }
  }

  decrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    this.encrypt(firstSector, from, into);
  }
}

/** Every block alone: no vector is used. */
class BlockCipher implements SectorCipher {
  readonly #name: string;
  readonly #key: Uint8Array;

  constructor(name: string, key: Uint8Array) {
    this.#name = name;
    this.#key = key;
  }

  encrypt(_firstSector: number, from: Uint8Array, into: Uint8Array): void {
    into.set(createCipheriv(this.#name, this.#key, null).setAutoPadding(false).update(from));
  }

  decrypt(_firstSector: number, from: Uint8Array, into: Uint8Array): void {
    into.set(createDecipheriv(this.#name, this.#key, null).setAutoPadding(false).update(from));
  }
}
