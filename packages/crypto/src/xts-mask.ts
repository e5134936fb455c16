/** The masks of XTS: each block of a sector is combined with the sector's tweak times 2, 4, 8 … in GF(2^128). IEEE 1619, clause 5.2. */

/** Bytes that share a tweak. */
export const MASKED_SECTOR_LENGTH = 512;
/** Bytes that are masked in one call: data and tweaks stay in the processor's cache. */
export const MASKED_LENGTH: number = 64 * 1024;

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
  load: [0xfd, 0x00, 0x04],
  store: [0xfd, 0x0b, 0x04],
  vector: [0xfd, 0x0c],
  shuffle: [0xfd, 0x0d],
  and: [0xfd, 0x4e],
  xor: [0xfd, 0x51],
  /** Of both halves of 64 bits. */
  shiftLeft: [0xfd, 0xcb, 0x01],
  /** Of all quarters of 32 bits: such a shift of halves is no single instruction of most processors. */
  shiftRightSigned: [0xfd, 0xac, 0x01],
} as const;
const I32 = 0x7f;
const V128 = 0x7b;
const BLOCK_LENGTH = 16;
const BLOCKS_IN_SECTOR = MASKED_SECTOR_LENGTH / BLOCK_LENGTH;

/** Doubling is a chain of instructions that wait for each other: so many sectors go side by side, so many blocks of each in one round. */
const SECTORS_ABREAST = 4;
const BLOCKS_IN_ROUND = 2;

/** Parameters and local variables of the function; `TWEAK` is the first of as many as there are sectors abreast. */
const DATA = 0;
const TWEAKS = 1;
const GROUPS = 2;
const ROUNDS = 3;
const TWEAK = 4;

/**
 * For each group of sectors: loads their tweaks, and for each of their blocks stores `block ^ tweak` and doubles the tweak. Doubling shifts
 * both halves; the bit that falls out of the low half goes into the high one, and that of the high half comes back as 0x87: the signs of
 * the second and the last quarter, brought to the third and the first.
 */
function instructions(): readonly number[] {
  return [
    OP.loop,
    abreast((sector) => [...OP.get, TWEAKS, ...OP.load, ...unsigned(sector * BLOCK_LENGTH), ...OP.set, TWEAK + sector]),
    [...OP.constant, BLOCKS_IN_SECTOR / BLOCKS_IN_ROUND, ...OP.set, ROUNDS],
    OP.loop,
    Array.from({ length: BLOCKS_IN_ROUND }, (_, block) =>
      abreast((sector) => [...maskBlock(sector * MASKED_SECTOR_LENGTH + block * BLOCK_LENGTH, TWEAK + sector), ...double(TWEAK + sector)]),
    ).flat(),
    advance(DATA, BLOCKS_IN_ROUND * BLOCK_LENGTH),
    [...OP.get, ROUNDS, ...OP.constant, 1, ...OP.subtract, ...OP.tee, ROUNDS, ...OP.branchIf, 0],
    OP.end,
    advance(DATA, (SECTORS_ABREAST - 1) * MASKED_SECTOR_LENGTH),
    advance(TWEAKS, SECTORS_ABREAST * BLOCK_LENGTH),
    [...OP.get, GROUPS, ...OP.constant, 1, ...OP.subtract, ...OP.tee, GROUPS, ...OP.branchIf, 0],
    OP.end,
    OP.end,
  ].flat();
}

function abreast(each: (sector: number) => readonly number[]): readonly number[] {
  return Array.from({ length: SECTORS_ABREAST }, (_, sector) => each(sector)).flat();
}

function maskBlock(offset: number, tweak: number): readonly number[] {
  const at = unsigned(offset);
  return [...OP.get, DATA, ...OP.get, DATA, ...OP.load, ...at, ...OP.get, tweak, ...OP.xor, ...OP.store, ...at];
}

function double(tweak: number): readonly number[] {
  const signs = [...OP.get, tweak, ...OP.constant, 31, ...OP.shiftRightSigned];
  return [
    [...OP.get, tweak, ...OP.constant, 1, ...OP.shiftLeft],
    [...signs, ...signs, ...OP.shuffle, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3],
    [...OP.vector, 0x87, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...OP.and],
    [...OP.xor, ...OP.set, tweak],
  ].flat();
}

function advance(variable: number, bytes: number): readonly number[] {
  return [...OP.get, variable, ...OP.constant, ...signed(bytes), ...OP.add, ...OP.set, variable];
}

/** A function `mask(data, tweaks, groups)` and the memory that it works on, exported as `f` and `m`. */
function moduleBytes(): Uint8Array {
  const locals = [2, 1, I32, SECTORS_ABREAST, V128];
  const body = [...locals, ...instructions()];
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

/** As `unsigned`, but bit 6 of the last byte is the sign: of numbers that are not negative it is clear. */
function signed(value: number): readonly number[] {
  return value < 64 ? [value] : [(value % 128) + 128, Math.floor(value / 128)];
}

/** What is used of the global that the compiler's libraries for Node do not declare. */
interface WebAssemblyGlobal {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => {
    readonly exports: { readonly f: MaskFunction; readonly m: { readonly buffer: ArrayBuffer } };
  };
}
type MaskFunction = (data: number, tweaks: number, groups: number) => void;

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

  /** The masked sectors, at most `MASKED_LENGTH` bytes; they stay until the next call, to which they may be handed again. */
  apply(sectors: Uint8Array): Uint8Array {
    if (sectors.buffer !== this.#bytes.buffer) this.#bytes.set(sectors);
    // What is left of the last group is masked for nothing.
    this.#mask(0, TWEAKS_AT, Math.ceil(sectors.length / (SECTORS_ABREAST * MASKED_SECTOR_LENGTH)));
    return this.#bytes.subarray(0, sectors.length);
  }
}
