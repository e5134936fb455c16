/** The masks of XTS: each block of a sector is combined with the sector's tweak times 2, 4, 8 … in GF(2^128). IEEE 1619, clause 5.2. */

/** Bytes that share a tweak. */
export const MASKED_SECTOR_LENGTH = 512;
/** Bytes that are masked in one call: data and tweaks stay in the processor's cache. */
export const MASKED_LENGTH: number = 128 * 1024;

const PAGE_LENGTH = 64 * 1024;
const TWEAKS_AT = MASKED_LENGTH;
const PAGES = MASKED_LENGTH / PAGE_LENGTH + 1;

/** The instructions of the function below, as WebAssembly encodes them. */
const OP = {
  loop: [0x03, 0x40],
  end: [0x0b],
  branchIf: [0x0d],
  get: [0x20],
  set: [0x21],
  tee: [0x22],
  constant: [0x41],
  add: [0x6a],
  subtract: [0x6b],
  /** Of 16 bytes; the operands are the alignment, 2^4, and an offset. */
  load: [0xfd, 0x00, 0x04, 0x00],
  store: [0xfd, 0x0b, 0x04, 0x00],
  vector: [0xfd, 0x0c],
  shuffle: [0xfd, 0x0d],
  and: [0xfd, 0x4e],
  xor: [0xfd, 0x51],
  /** Of both halves of 64 bits. */
  shiftLeft: [0xfd, 0xcb, 0x01],
  shiftRightSigned: [0xfd, 0xcc, 0x01],
} as const;
const I32 = 0x7f;
const V128 = 0x7b;

/** Parameters and local variables of the function. */
const DATA = 0;
const TWEAKS = 1;
const SECTORS = 2;
const BLOCKS = 3;
const TWEAK = 4;

/**
 * For each sector: loads its tweak, and for each of its 32 blocks stores `block ^ tweak` and doubles the tweak. Doubling shifts both
 * halves; the bit that falls out of the low half goes into the high one, and that of the high half comes back as 0x87.
 */
const INSTRUCTIONS: readonly number[] = [
  OP.loop,
  [...OP.get, TWEAKS, ...OP.load, ...OP.set, TWEAK],
  [...OP.constant, 32, ...OP.set, BLOCKS],
  OP.loop,
  [...OP.get, DATA, ...OP.get, DATA, ...OP.load, ...OP.get, TWEAK, ...OP.xor, ...OP.store],
  [...OP.get, DATA, ...OP.constant, 16, ...OP.add, ...OP.set, DATA],
  [...OP.get, TWEAK, ...OP.constant, 1, ...OP.shiftLeft],
  [...OP.get, TWEAK, ...OP.constant, 63, ...OP.shiftRightSigned, ...OP.get, TWEAK],
  [...OP.shuffle, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
  [...OP.vector, 0x87, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...OP.and],
  [...OP.xor, ...OP.set, TWEAK],
  [...OP.get, BLOCKS, ...OP.constant, 1, ...OP.subtract, ...OP.tee, BLOCKS, ...OP.branchIf, 0],
  OP.end,
  [...OP.get, TWEAKS, ...OP.constant, 16, ...OP.add, ...OP.set, TWEAKS],
  [...OP.get, SECTORS, ...OP.constant, 1, ...OP.subtract, ...OP.tee, SECTORS, ...OP.branchIf, 0],
  OP.end,
  OP.end,
].flat();

/** A function `mask(data, tweaks, sectors)` and the memory that it works on, exported as `f` and `m`. */
function moduleBytes(): Uint8Array {
  const locals = [2, 1, I32, 1, V128];
  const body = [...locals, ...INSTRUCTIONS];
  const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
  const sections: readonly (readonly [id: number, content: readonly number[]])[] = [
    [1, [1, 0x60, 3, I32, I32, I32, 0]],
    [3, [1, 0]],
    [5, [1, 0, PAGES]],
    [7, [2, ...name("f"), 0, 0, ...name("m"), 2, 0]],
    [10, [1, ...unsigned(body.length), ...body]],
  ];
  return Uint8Array.of(
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...sections.flatMap(([id, content]) => [id, ...unsigned(content.length), ...content]),
  );
}

/** Below 2^14, seven bits a byte, the lowest first. */
function unsigned(value: number): readonly number[] {
  return value < 128 ? [value] : [(value % 128) + 128, Math.floor(value / 128)];
}

/** What is used of the global that the compiler's libraries for Node do not declare. */
interface WebAssemblyGlobal {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => {
    readonly exports: { readonly f: MaskFunction; readonly m: { readonly buffer: ArrayBuffer } };
  };
}
type MaskFunction = (data: number, tweaks: number, sectors: number) => void;

/** One for all ciphers: it is used and left within one turn. */
export class XtsMask {
  static #shared: XtsMask | undefined;
  readonly #mask: MaskFunction;
  readonly #bytes: Uint8Array;

  private constructor() {
    const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyGlobal }).WebAssembly;
    const { f, m } = new Instance(new Module(moduleBytes())).exports;
    this.#mask = f;
    this.#bytes = new Uint8Array(m.buffer);
  }

  /** Made when it is first needed. */
  static instance(): XtsMask {
    XtsMask.#shared ??= new XtsMask();
    return XtsMask.#shared;
  }

  /** One of 16 bytes for each sector of the calls of `apply` that follow. */
  setTweaks(tweaks: Uint8Array): void {
    this.#bytes.set(tweaks, TWEAKS_AT);
  }

  /** The masked sectors, at most `MASKED_LENGTH` bytes; they stay until the next call. */
  apply(sectors: Uint8Array): Uint8Array {
    this.#bytes.set(sectors);
    this.#mask(0, TWEAKS_AT, sectors.length / MASKED_SECTOR_LENGTH);
    return this.#bytes.subarray(0, sectors.length);
  }
}
