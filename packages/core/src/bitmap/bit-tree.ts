/** A row of bits of any length, in memory that grows with how mixed the bits are: a stretch of equal ones costs nothing. */

import { assert } from "../errors.ts";

/** Bits that are kept as plain bytes, least significant bit first. */
const LEAF_BITS = 4096;
const FAN_OUT = 64;

interface Leaf {
  readonly bytes: Uint8Array;
  count: number;
}
interface Inner {
  readonly children: Branch[];
  count: number;
}
type Branch = "empty" | "full" | Leaf | Inner;

/** Up to 2^53 bits, all clear at first. A change of a stretch costs as much as its two ends. */
export class BitTree {
  #length: number;
  #span = LEAF_BITS;
  #root: Branch = "empty";

  constructor(length: number) {
    this.#length = length;
    this.#raise(length);
  }

  /** Bits. */
  get length(): number {
    return this.#length;
  }

  /** Bits that are set. */
  get count(): number {
    return countOf(this.#root, this.#span);
  }

  /** Sets or clears the bits in [start, end). */
  fill(start: number, end: number, value: boolean): void {
    assert(start >= 0 && start <= end && end <= this.#length, "bits lie within their row");
    if (start < end) this.#root = filled(this.#root, this.#span, start, end, value);
  }

  /** The first bit from `from` on that is `value`; `length` where there is none. */
  next(from: number, value: boolean): number {
    return Math.min(this.#length, from >= this.#length ? this.#length : find(this.#root, this.#span, from, value));
  }

  /** Bits that are new are clear. */
  resize(length: number): void {
    if (length < this.#length) this.fill(length, this.#length, false);
    this.#length = length;
    this.#raise(length);
  }

  /** Sets the bits that are set in a row of the same length. */
  unite(other: BitTree): void {
    assert(other.#length === this.#length, "rows of the same length are united");
    // A row that was longer before may have levels to spare.
    this.#raise(other.#span);
    let added = other.#root;
    for (let span = other.#span; span < this.#span; span *= FAN_OUT) added = raised(added, span);
    this.#root = united(this.#root, added, this.#span);
  }

  /** Bits from `start`, a multiple of 4096, as bytes: least significant bit first, zeros behind the end. */
  read(start: number, into: Uint8Array): void {
    assert(start % LEAF_BITS === 0, "bytes begin with a leaf");
    for (let at = 0; at < into.length; at += LEAF_BITS / 8) {
      const part = into.subarray(at, at + LEAF_BITS / 8);
      const bit = start + at * 8;
      const leaf = bit < this.#span ? leafAt(this.#root, this.#span, bit) : "empty";
      if (leaf === "empty") part.fill(0);
      else if (leaf === "full") part.fill(0xff);
      else part.set(leaf.bytes.subarray(0, part.length));
    }
  }

  /** Sets the bits from `start` on, a multiple of 4096, that are set in `bytes`; what is behind the end is not looked at. */
  load(start: number, bytes: Uint8Array): void {
    assert(start % LEAF_BITS === 0, "bytes begin with a leaf");
    for (let at = 0; at < bytes.length; at += LEAF_BITS / 8) {
      const bit = start + at * 8;
      if (bit >= this.#length) return;
      const leaf: Leaf = { bytes: new Uint8Array(LEAF_BITS / 8), count: 0 };
      leaf.bytes.set(bytes.subarray(at, at + LEAF_BITS / 8));
      const kept = this.#length - bit;
      if (kept < LEAF_BITS) {
        leaf.bytes.fill(0, Math.ceil(kept / 8));
        const last = Math.floor(kept / 8);
        if (kept % 8 !== 0) leaf.bytes[last] = (leaf.bytes[last] ?? 0) & (2 ** (kept % 8) - 1);
      }
      for (const byte of leaf.bytes) leaf.count += bitsIn(byte);
      if (leaf.count > 0) this.#root = graft(this.#root, this.#span, bit, collapsed(leaf, LEAF_BITS));
    }
  }

  /** As many levels as it takes for `length` bits. */
  #raise(length: number): void {
    for (; this.#span < length; this.#span *= FAN_OUT) this.#root = raised(this.#root, this.#span);
  }
}

/** A branch of `span` bits as the beginning of a larger one. */
function raised(branch: Branch, span: number): Branch {
  if (branch === "empty") return branch;
  const node = openInner("empty", span * FAN_OUT);
  node.children[0] = branch;
  node.count = countOf(branch, span);
  return node;
}

function countOf(branch: Branch, span: number): number {
  return branch === "empty" ? 0 : branch === "full" ? span : branch.count;
}

function collapsed(node: Leaf | Inner, span: number): Branch {
  return node.count === 0 ? "empty" : node.count === span ? "full" : node;
}

function filled(branch: Branch, span: number, start: number, end: number, value: boolean): Branch {
  const uniform = value ? "full" : "empty";
  if (branch === uniform || (start === 0 && end === span)) return uniform;
  if (span === LEAF_BITS) return filledLeaf(openLeaf(branch), start, end, value);
  const node = openInner(branch, span);
  const step = span / FAN_OUT;
  for (let index = Math.floor(start / step); index * step < end; index++) {
    const first = index * step;
    const child = node.children[index] ?? "empty";
    const before = countOf(child, step);
    const changed = filled(child, step, Math.max(0, start - first), Math.min(step, end - first), value);
    node.children[index] = changed;
    node.count += countOf(changed, step) - before;
  }
  return collapsed(node, span);
}

function filledLeaf(leaf: Leaf, start: number, end: number, value: boolean): Branch {
  const { bytes } = leaf;
  for (let at = Math.floor(start / 8); at * 8 < end; at++) {
    const low = Math.max(0, start - at * 8);
    const high = Math.min(8, end - at * 8);
    const mask = 2 ** high - 2 ** low;
    const before = bytes[at] ?? 0;
    const after = value ? before | mask : before & ~mask;
    bytes[at] = after;
    leaf.count += bitsIn(after) - bitsIn(before);
  }
  return collapsed(leaf, LEAF_BITS);
}

function openLeaf(branch: Branch): Leaf {
  if (typeof branch === "object" && "bytes" in branch) return branch;
  const full = branch === "full";
  return { bytes: new Uint8Array(LEAF_BITS / 8).fill(full ? 0xff : 0), count: full ? LEAF_BITS : 0 };
}

function openInner(branch: Branch, span: number): Inner {
  if (typeof branch === "object" && "children" in branch) return branch;
  const full = branch === "full";
  return { children: Array.from({ length: FAN_OUT }, () => (full ? "full" : "empty")), count: full ? span : 0 };
}

/** The first bit from `from` on that is `value`; `span` where there is none. */
function find(branch: Branch, span: number, from: number, value: boolean): number {
  if (typeof branch === "string") return (branch === "full") === value ? from : span;
  if ("bytes" in branch) return findInLeaf(branch.bytes, from, value);
  const step = span / FAN_OUT;
  for (let index = Math.floor(from / step); index < FAN_OUT; index++) {
    const found = find(branch.children[index] ?? "empty", step, Math.max(0, from - index * step), value);
    if (found < step) return index * step + found;
  }
  return span;
}

function findInLeaf(bytes: Uint8Array, from: number, value: boolean): number {
  const none = value ? 0 : 0xff;
  for (let at = Math.floor(from / 8); at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === none) continue;
    const wanted = byte ^ none;
    for (let bit = Math.max(0, from - at * 8); bit < 8; bit++) if ((wanted & (1 << bit)) !== 0) return at * 8 + bit;
  }
  return LEAF_BITS;
}

/** `added` is not changed, and not shared either. */
function united(branch: Branch, added: Branch, span: number): Branch {
  if (branch === "full" || added === "empty") return branch;
  if (added === "full") return "full";
  if ("bytes" in added) {
    const leaf = openLeaf(branch);
    leaf.count = 0;
    for (let at = 0; at < leaf.bytes.length; at++) {
      const byte = (leaf.bytes[at] ?? 0) | (added.bytes[at] ?? 0);
      leaf.bytes[at] = byte;
      leaf.count += bitsIn(byte);
    }
    return collapsed(leaf, LEAF_BITS);
  }
  const node = openInner(branch, span);
  const step = span / FAN_OUT;
  node.count = 0;
  for (const [index, child] of added.children.entries()) {
    const both = united(node.children[index] ?? "empty", child, step);
    node.children[index] = both;
    node.count += countOf(both, step);
  }
  return collapsed(node, span);
}

function leafAt(branch: Branch, span: number, bit: number): Leaf | "empty" | "full" {
  let at = branch;
  let left = bit;
  for (let step = span / FAN_OUT; typeof at === "object" && "children" in at; step /= FAN_OUT) {
    at = at.children[Math.floor(left / step)] ?? "empty";
    left %= step;
  }
  return at;
}

/** Sets the bits of a leaf at `bit`. */
function graft(branch: Branch, span: number, bit: number, leaf: Branch): Branch {
  if (span === LEAF_BITS) return united(branch, leaf, LEAF_BITS);
  if (branch === "full") return branch;
  const node = openInner(branch, span);
  const step = span / FAN_OUT;
  const index = Math.floor(bit / step);
  const child = node.children[index] ?? "empty";
  const before = countOf(child, step);
  const changed = graft(child, step, bit % step, leaf);
  node.children[index] = changed;
  node.count += countOf(changed, step) - before;
  return collapsed(node, span);
}

const BITS_IN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

function bitsIn(byte: number): number {
  return BITS_IN[byte] ?? 0;
}
