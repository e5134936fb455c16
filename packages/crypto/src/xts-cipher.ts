/** AES-XTS over many sectors at once: masks by WebAssembly, blocks by one AES-ECB call. IEEE 1619. */

import { type Cipher, createCipheriv, createDecipheriv } from "node:crypto";
import type { SectorIvs } from "./sector-ivs.ts";
import { MASKED_LENGTH, MASKED_SECTOR_LENGTH, XtsMask } from "./xts-mask.ts";

/** What ECB does to blocks it does to each alone, so one cipher object serves all calls. */
type BlockFunction = (blocks: Uint8Array) => Uint8Array;

export class XtsCipher {
  readonly #encipher: BlockFunction;
  readonly #decipher: BlockFunction;
  readonly #tweaks: SectorIvs;

  /** `key`: that of the blocks, then that of the tweaks. */
  constructor(keyBits: number, key: Uint8Array, ivs: SectorIvs) {
    const name = `aes-${keyBits}-ecb`;
    const blockKey = key.subarray(0, key.length / 2);
    const tweak = blockFunction(createCipheriv(name, key.subarray(key.length / 2), null));
    this.#encipher = blockFunction(createCipheriv(name, blockKey, null));
    this.#decipher = blockFunction(createDecipheriv(name, blockKey, null));
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

function blockFunction(cipher: Cipher): BlockFunction {
  cipher.setAutoPadding(false);
  return (blocks) => cipher.update(blocks);
}
