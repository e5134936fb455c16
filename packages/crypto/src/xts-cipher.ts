/** AES-XTS over many sectors at once: masks by WebAssembly, blocks by one AES-ECB call. IEEE 1619. */

import { type Cipher, createCipheriv, createDecipheriv } from "node:crypto";
import type { BlockCiphers } from "@coblock/core";
import type { SectorIvs } from "./sector-ivs.ts";
import { MASKED_LENGTH, MASKED_SECTOR_LENGTH, XtsMask } from "./xts-mask.ts";

/** Answers what becomes of the blocks: in their place, or as a copy. */
type BlockFunction = (blocks: Uint8Array) => Uint8Array;

export interface XtsCipherParts {
  readonly keyBits: number;
  /** That of the blocks, then that of the tweaks. */
  readonly key: Uint8Array;
  readonly ivs: SectorIvs;
  /** The host's way to do without copies. */
  readonly aes: BlockCiphers["aes"];
}

export class XtsCipher {
  readonly #encipher: BlockFunction;
  readonly #decipher: BlockFunction;
  readonly #tweaks: SectorIvs;

  constructor({ keyBits, key, ivs, aes }: XtsCipherParts) {
    const name = `aes-${keyBits}-ecb`;
    const blockKey = key.subarray(0, key.length / 2);
    const tweakKey = key.subarray(key.length / 2);
    const inPlace = (direction: "encrypt" | "decrypt", part: Uint8Array): BlockFunction | undefined => {
      const blocks = aes?.(direction, part);
      return blocks && ((bytes) => (blocks(bytes), bytes));
    };
    const tweak = inPlace("encrypt", tweakKey) ?? copying(createCipheriv(name, tweakKey, null));
    this.#encipher = inPlace("encrypt", blockKey) ?? copying(createCipheriv(name, blockKey, null));
    this.#decipher = inPlace("decrypt", blockKey) ?? copying(createDecipheriv(name, blockKey, null));
    this.#tweaks = (first, count) => tweak(ivs(first, count));
  }

  encrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    this.#apply(this.#encipher, firstSector, from, into);
  }

  decrypt(firstSector: number, from: Uint8Array, into: Uint8Array): void {
    this.#apply(this.#decipher, firstSector, from, into);
  }

  #apply(blocks: BlockFunction, firstSector: number, from: Uint8Array, into: Uint8Array): void {
    const mask = XtsMask.instance();
    const tweaks = this.#tweaks(firstSector, from.length / MASKED_SECTOR_LENGTH);
    for (let at = 0; at < from.length; at += MASKED_LENGTH) {
      const end = Math.min(at + MASKED_LENGTH, from.length);
      const perSector = tweaks.length / from.length;
      mask.setTweaks(tweaks.subarray(at * perSector, end * perSector));
      const masked = mask.apply(from.subarray(at, end));
      into.set(mask.apply(blocks(masked)), at);
    }
  }
}

/** What ECB does to blocks it does to each alone, so one cipher object serves all calls. */
function copying(cipher: Cipher): BlockFunction {
  cipher.setAutoPadding(false);
  return (blocks) => cipher.update(blocks);
}
