/** Refcounts of 1 to 64 bits in the bytes of a refcount block. qcow2 spec, "Reference counts". */

import { TWO_32, writeNumber64 } from "./words.ts";

/** Reads and writes the refcounts of one width; `block` is a whole refcount block. */
export interface RefcountCodec {
  readonly bits: number;
  /** The largest value that is counted with. 64 bits: 2^53 − 1, which also stands for all that are larger. */
  readonly max: number;
  get(block: DataView, index: number): number;
  /** `value` is at most `max`. */
  set(block: DataView, index: number, value: number): void;
  /** The first index in [from, to) whose refcount is zero, or `to`. */
  findFree(block: DataView, from: number, to: number): number;
  /** The first index in [from, to) whose refcount is not zero, or `to`. */
  findUsed(block: DataView, from: number, to: number): number;
}

/** `bits` is 1, 2, 4, 8, 16, 32 or 64. */
export function refcountCodec(bits: number): RefcountCodec {
  const { get, set } = bits < 8 ? packed(bits) : whole(bits);
  const findFree = (block: DataView, from: number, to: number): number => {
    let index = from;
    while (index < to && get(block, index) !== 0) index++;
    return index;
  };
  const findUsed = (block: DataView, from: number, to: number): number => {
    let index = from;
    while (index < to && get(block, index) === 0) index++;
    return index;
  };
  return { bits, max: Math.min(2 ** bits - 1, Number.MAX_SAFE_INTEGER), get, set, findFree, findUsed };
}

type Access = Pick<RefcountCodec, "get" | "set">;

/** Several in one byte, the first in its least significant bits. */
function packed(bits: number): Access {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const shift = (index: number): number => (index % perByte) * bits;
  const at = (index: number): number => Math.floor(index / perByte);
  return {
    get: (block, index) => (block.getUint8(at(index)) >> shift(index)) & mask,
    set: (block, index, value) =>
      block.setUint8(at(index), (block.getUint8(at(index)) & ~(mask << shift(index))) | (value << shift(index))),
  };
}

function whole(bits: number): Access {
  switch (bits) {
    case 8:
      return { get: (block, index) => block.getUint8(index), set: (block, index, value) => block.setUint8(index, value) };
    case 16:
      return { get: (block, index) => block.getUint16(index * 2), set: (block, index, value) => block.setUint16(index * 2, value) };
    case 32:
      return { get: (block, index) => block.getUint32(index * 4), set: (block, index, value) => block.setUint32(index * 4, value) };
    default:
      return { get: get64, set: (block, index, value) => writeNumber64(block, index * 8, value) };
  }
}

function get64(block: DataView, index: number): number {
  return Math.min(block.getUint32(index * 8) * TWO_32 + block.getUint32(index * 8 + 4), Number.MAX_SAFE_INTEGER);
}
