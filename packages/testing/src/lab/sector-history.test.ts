/** Small histories of one sector, judged by the model and by trying everything. */

import { describe, expect, it } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { ModelDisk, type ModelOperation, type ModelRequest } from "./model-disk.ts";
import { ModelMismatch } from "./model-mismatch.ts";
import { SECTOR_SIZE } from "./sector-content.ts";

/** The sector is looked at as three cells; all bytes of a cell are equal. */
type Cells = readonly [number, number, number];
const CELL_STARTS = [0, 100, 300, SECTOR_SIZE] as const;
/** A cell that nobody knows: 100 and the number of the discard. */
const UNKNOWN = 100;

interface Operation {
  readonly number: number;
  readonly kind: "read" | "write" | "zero or same" | "anything" | "flush";
  /** Cells [from, to). */
  readonly from: number;
  readonly to: number;
  readonly value: number;
  /** Times at which it began and ended. */
  begin: number;
  end: number;
  outcome: "none" | "succeeded" | "failed";
  seen: readonly number[];
  model: ModelOperation | undefined;
}

/** One order of changes and reads; `values` are what unknown cells have turned out to be. */
interface Order {
  readonly changes: readonly { readonly operation: Operation; readonly isSame: boolean }[];
  readonly values: ReadonlyMap<string, number>;
}

/** All orders that the times allow, with every choice of what failed or is in flight, and in which reads have seen what they have seen. */
function orders(history: readonly Operation[]): readonly Order[] {
  const found: Order[] = [];
  const parts = history.filter(({ kind, outcome }) => kind !== "flush" && (kind !== "read" || outcome === "succeeded"));
  const extend = (order: Order, cells: Cells, done: ReadonlySet<Operation>): void => {
    const waiting = parts.filter((operation) => !done.has(operation));
    if (waiting.every(({ outcome }) => outcome !== "succeeded")) found.push(order);
    for (const operation of waiting) {
      if (waiting.some((other) => other.outcome === "succeeded" && other.end < operation.begin)) continue;
      if ([...done].some((other) => other.begin > operation.end)) continue;
      const next = new Set([...done, operation]);
      if (operation.kind === "read") {
        const values = valuesSeen(operation, cells, order.values);
        if (values !== undefined) extend({ ...order, values }, cells, next);
        continue;
      }
      for (const isSame of operation.kind === "zero or same" ? [false, true] : [false]) {
        extend({ ...order, changes: [...order.changes, { operation, isSame }] }, isSame ? cells : after(operation, cells), next);
      }
    }
  };
  extend({ changes: [], values: new Map() }, [0, 0, 0], new Set());
  return found;
}

function after({ kind, number, from, to, value }: Operation, cells: Cells): Cells {
  const own = kind === "write" ? value : kind === "anything" ? UNKNOWN + number : 0;
  return cells.map((cell, index) => (index >= from && index < to ? own : cell)) as unknown as Cells;
}

function valuesSeen({ from, seen }: Operation, cells: Cells, known: ReadonlyMap<string, number>): ReadonlyMap<string, number> | undefined {
  const values = new Map(known);
  for (const [index, value] of seen.entries()) {
    const cell = cells[from + index] ?? 0;
    const name = `${cell} ${from + index}`;
    if (cell >= UNKNOWN ? (values.get(name) ?? value) !== value : cell !== value) return undefined;
    if (cell >= UNKNOWN) values.set(name, value);
  }
  return values;
}

/** Patterns of cells that a power cut may leave, as text: an unknown cell is a `?`. */
function afterCut(history: readonly Operation[]): ReadonlySet<string> {
  const flushed = history.filter(({ kind, outcome }) => kind === "flush" && outcome === "succeeded").map(({ begin }) => begin);
  const flush = Math.max(-1, ...flushed);
  const bases = new Map<string, Cells>();
  const open = history.filter(({ kind, end }) => kind !== "flush" && kind !== "read" && end > flush);
  for (const { changes, values } of orders(history)) {
    const counted = changes.filter(({ operation }) => operation.begin < flush);
    const optional = counted.filter(({ operation }) => operation.end > flush);
    for (let set = 0; set < 2 ** optional.length; set++) {
      const dropped = optional.filter((_change, index) => (set & (1 << index)) !== 0);
      let cells: Cells = [0, 0, 0];
      for (const change of counted) if (!dropped.includes(change) && !change.isSame) cells = after(change.operation, cells);
      const known = cells.map((cell, index) => values.get(`${cell} ${index}`) ?? cell) as unknown as Cells;
      bases.set(known.join(), known);
    }
  }
  const left = new Set<string>();
  for (const cells of bases.values()) addAll(cells, open, left);
  return left;
}

function addAll(cells: Cells, open: readonly Operation[], left: Set<string>): void {
  left.add(cells.map((cell) => (cell >= UNKNOWN ? "?" : String(cell))).join());
  for (const change of open) {
    addAll(
      after(change, cells),
      open.filter((other) => other !== change),
      left,
    );
  }
}

function bytesOf(cells: readonly number[], from: number): Uint8Array {
  const start = CELL_STARTS[from] ?? 0;
  const bytes = new Uint8Array((CELL_STARTS[from + cells.length] ?? 0) - start);
  for (const [index, cell] of cells.entries())
    bytes.fill(cell, (CELL_STARTS[from + index] ?? 0) - start, (CELL_STARTS[from + index + 1] ?? 0) - start);
  return bytes;
}

function requestOf({ kind, from, to, value }: Operation): ModelRequest {
  const offset = CELL_STARTS[from] ?? 0;
  const length = (CELL_STARTS[to] ?? 0) - offset;
  if (kind === "flush") return { kind };
  if (kind === "read") return { kind, offset, length };
  if (kind === "write")
    return value === 0 ? { kind: "zero", offset, length } : { kind, offset, bytes: bytesOf([value, value, value].slice(from, to), from) };
  return { kind: "discard", offset, length, reads: kind };
}

interface Mixture {
  readonly operations: number;
  readonly kinds: readonly Operation["kind"][];
  readonly wholeChance: number;
  /** Up to which number; 0 is there from the start. */
  readonly values: number;
}

/** A history that grows by chance. */
class Trial {
  readonly history: Operation[] = [];
  readonly model: ModelDisk = new ModelDisk({ size: SECTOR_SIZE });
  readonly #random: SeededRandom;
  readonly #mixture: Mixture;
  #time = 0;

  constructor(seed: number, mixture: Mixture) {
    this.#random = new SeededRandom(seed);
    this.#mixture = mixture;
  }

  get text(): string {
    return this.history
      .map(
        ({ kind, from, to, value, begin, end, outcome, seen }) =>
          `${kind} ${from}-${to} =${value} ${begin}..${end} ${outcome} ${seen.join()}`,
      )
      .join("\n");
  }

  /** False where both say that a read has seen what it could not. */
  step(): boolean {
    const running = this.history.filter(({ outcome, end }) => outcome === "none" && end === Number.POSITIVE_INFINITY);
    const mayBegin = this.history.length < this.#mixture.operations;
    if (mayBegin && (running.length === 0 || this.#random.chance(0.55))) {
      this.#begin();
      return true;
    }
    if (running.length === 0) return true;
    return this.#end(this.#random.pick(running));
  }

  /** Compares what a power cut may leave; `isExact`: the model may not allow more. */
  judgeCut(isExact: boolean): void {
    const allowed = [...afterCut(this.history)].map((text) => text.split(","));
    const cut = this.model.afterPowerCut();
    const values = [...Array.from({ length: this.#mixture.values + 1 }, (_none, value) => value), 99];
    const wrong: Cells[] = [];
    for (const cells of values.flatMap((first) => values.flatMap((second) => values.map((third): Cells => [first, second, third])))) {
      const isAllowed = allowed.some((left) => left.every((cell, index) => cell === "?" || cell === String(cells[index])));
      if (!isAllowed && !isExact) continue;
      const seen = bytesOf(cells, 0);
      if (throwsMismatch(() => cut.expect(0, seen, "cut")) === isAllowed) wrong.push(cells);
    }
    expect(wrong, this.text).toEqual([]);
  }

  /** The flush that counts began while a change was in flight: then what reads have seen since an earlier one is not made use of. */
  get isFlushedAmongChanges(): boolean {
    const flushes = this.history.filter(({ kind, outcome }) => kind === "flush" && outcome === "succeeded");
    const last = flushes.reduce((latest, { begin }) => Math.max(latest, begin), -1);
    return this.history.some(({ kind, begin, end }) => kind !== "flush" && kind !== "read" && begin < last && last < end);
  }

  #begin(): void {
    const random = this.#random;
    const { kinds, wholeChance, values } = this.#mixture;
    const from = random.chance(wholeChance) ? 0 : random.below(3);
    const to = from === 0 && random.chance(wholeChance) ? 3 : random.between(from + 1, 3);
    const operation: Operation = {
      number: this.history.length,
      kind: random.pick(kinds),
      from,
      to,
      value: random.below(values + 1),
      begin: this.#time++,
      end: Number.POSITIVE_INFINITY,
      outcome: "none",
      seen: [],
      model: undefined,
    };
    operation.model = this.model.begin(requestOf(operation));
    this.history.push(operation);
  }

  #end(operation: Operation): boolean {
    operation.end = this.#time++;
    operation.outcome = this.#random.chance(0.2) ? "failed" : "succeeded";
    if (operation.outcome === "failed") {
      operation.model?.failed();
      return true;
    }
    if (operation.kind !== "read") {
      operation.model?.succeeded();
      return true;
    }
    operation.seen = this.#guess(operation);
    const isWrong = throwsMismatch(() => operation.model?.succeeded(bytesOf(operation.seen, operation.from)));
    expect(isWrong, this.text).toBe(orders(this.history).length === 0);
    return !isWrong;
  }

  /** Something that a write has written, or what is true in some order. */
  #guess(operation: Operation): readonly number[] {
    const random = this.#random;
    const values = Array.from({ length: operation.to - operation.from }, () => random.below(this.#mixture.values + 1));
    if (random.chance(0.3)) return values;
    operation.outcome = "none";
    const all = orders(this.history);
    operation.outcome = "succeeded";
    const { changes, values: known } = random.pick(all);
    const length = random.below(changes.length + 1);
    let cells: Cells = [0, 0, 0];
    for (const change of random.chance(0.5) ? changes : changes.slice(0, length))
      if (!change.isSame) cells = after(change.operation, cells);
    return cells
      .slice(operation.from, operation.to)
      .map((cell, index) => known.get(`${cell} ${operation.from + index}`) ?? (cell >= UNKNOWN ? (values[index] ?? 0) : cell));
  }
}

function throwsMismatch(run: () => void): boolean {
  try {
    run();
  } catch (error) {
    if (error instanceof ModelMismatch) return true;
    throw error;
  }
  return false;
}

interface Counts {
  refused: number;
  cuts: number;
}

function runTrials(mixture: Mixture, seeds: number): Counts {
  const counts: Counts = { refused: 0, cuts: 0 };
  const hasReads = mixture.kinds.includes("read");
  for (let seed = 1; seed <= seeds; seed++) {
    const trial = new Trial(seed, mixture);
    let isFine = true;
    // Every other trial ends while something is in flight.
    const steps = seed % 2 === 0 ? mixture.operations * 2 : mixture.operations + (seed % mixture.operations);
    for (let step = 0; isFine && step < steps; step++) isFine = trial.step();
    if (!isFine) counts.refused++;
    if (!isFine || !mixture.kinds.includes("flush")) continue;
    counts.cuts++;
    trial.judgeCut(!hasReads || !trial.isFlushedAmongChanges);
  }
  return counts;
}

describe("a sector says what trying every order says", () => {
  it("of whole writes and reads", () => {
    const { refused } = runTrials({ operations: 6, kinds: ["read", "write"], wholeChance: 1, values: 3 }, 2000);
    expect(refused).toBeGreaterThan(300);
  });

  it("of reads and writes of parts", () => {
    const { refused } = runTrials({ operations: 5, kinds: ["read", "write"], wholeChance: 0.5, values: 3 }, 2000);
    expect(refused).toBeGreaterThan(300);
  });

  it("of discards", () => {
    const { refused } = runTrials(
      { operations: 5, kinds: ["read", "write", "zero or same", "anything"], wholeChance: 0.6, values: 2 },
      3000,
    );
    expect(refused).toBeGreaterThan(300);
  });

  it("of power cuts among changes and flushes", () => {
    const { cuts } = runTrials({ operations: 5, kinds: ["write", "write", "flush"], wholeChance: 0.5, values: 3 }, 200);
    expect(cuts).toBe(200);
  });

  it("of power cuts among discards and flushes", () => {
    const { cuts } = runTrials({ operations: 5, kinds: ["write", "zero or same", "anything", "flush"], wholeChance: 0.5, values: 2 }, 200);
    expect(cuts).toBe(200);
  });

  it("of power cuts after what reads have seen", () => {
    const { cuts } = runTrials(
      { operations: 6, kinds: ["read", "write", "write", "anything", "flush", "flush"], wholeChance: 0.7, values: 2 },
      600,
    );
    expect(cuts).toBeGreaterThan(150);
  });
});
