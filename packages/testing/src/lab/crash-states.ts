/** What may be on a disk after a power cut: every combination of the sectors that no flush covers, or a sample of them. */

import type { SeededRandom } from "../seeded-random.ts";
import type { FileAtCut } from "./sim-file.ts";

/** Disks write that much as a whole or not at all. */
const SECTOR = 512;

/** One sector and the contents that it may have, beside what was durable. */
interface OpenSector {
  readonly file: string;
  readonly offset: number;
  /** Where the last change of it ends: so long the file is at least, if one of them got there. */
  readonly end: number;
  readonly contents: readonly Uint8Array[];
}

/** Which content each open sector has: 0 is the durable one. */
type Choice = readonly number[];

/** Files by name. */
export type FilesAfterCut = ReadonlyMap<string, Uint8Array>;

export interface CrashStateOptions {
  /** Up to that many combinations all are built; beyond, a sample of as many. */
  readonly bound: number;
  readonly random: SeededRandom;
}

/**
 * The disks that may be left. A sample always has: nothing of it persisted, all of it, each prefix and each single change of the last ones,
 * all but one of them; the rest is chance, sector by sector.
 */
export function* crashStates(cut: ReadonlyMap<string, FileAtCut>, options: CrashStateOptions): Generator<FilesAfterCut> {
  const sectors = openSectors(cut);
  const combinations = sectors.reduce((product, { contents }) => Math.min(product * (contents.length + 1), 2 ** 40), 1);
  const choices = combinations <= options.bound ? allChoices(sectors) : sampledChoices(cut, sectors, options);
  let index = 0;
  for (const choice of choices) yield built(cut, sectors, choice, index++);
}

function openSectors(cut: ReadonlyMap<string, FileAtCut>): readonly OpenSector[] {
  return [...cut].flatMap(([file, { changes, durable }]) => {
    const contents = new Map<number, Uint8Array[]>();
    const ends = new Map<number, number>();
    for (const { offset, bytes } of changes) {
      for (let start = offset - (offset % SECTOR); start < offset + bytes.length; start += SECTOR) {
        const known = contents.get(start) ?? [];
        ends.set(start, Math.max(ends.get(start) ?? 0, Math.min(start + SECTOR, offset + bytes.length)));
        // A change of a part of a sector is made to what the disk holds then: the durable content, or an earlier change.
        const bases = [sectorOf(durable, start), ...known];
        contents.set(start, [...known, ...bases.map((base) => changed(base, start, offset, bytes))]);
      }
    }
    return [...contents].map(([offset, all]) => ({ file, offset, end: ends.get(offset) ?? offset, contents: distinct(all) }));
  });
}

function sectorOf(bytes: Uint8Array, start: number): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  sector.set(bytes.subarray(start, start + SECTOR));
  return sector;
}

function changed(sector: Uint8Array, start: number, offset: number, bytes: Uint8Array): Uint8Array {
  const copy = sector.slice();
  const from = Math.max(start, offset);
  copy.set(bytes.subarray(from - offset, Math.min(bytes.length, start + SECTOR - offset)), from - start);
  return copy;
}

function distinct(contents: readonly Uint8Array[]): readonly Uint8Array[] {
  return contents.filter((content, index) => contents.findIndex((other) => Buffer.compare(other, content) === 0) === index);
}

function* allChoices(sectors: readonly OpenSector[]): Generator<Choice> {
  const choice = sectors.map(() => 0);
  for (;;) {
    yield [...choice];
    const next = choice.findIndex((value, index) => value < (sectors[index]?.contents.length ?? 0));
    if (next < 0) return;
    choice[next] = (choice[next] ?? 0) + 1;
    choice.fill(0, 0, next);
  }
}

function* sampledChoices(
  cut: ReadonlyMap<string, FileAtCut>,
  sectors: readonly OpenSector[],
  { bound, random }: CrashStateOptions,
): Generator<Choice> {
  const structured = [...structuredChoices(cut, sectors)];
  const half = Math.ceil(bound / 2);
  // The last changes are the ones that are in the middle of something.
  yield* structured.slice(0, 2);
  yield* structured.slice(2).slice(-half);
  for (let left = bound - Math.min(structured.length, half + 2); left > 0; left--) {
    const persists = [0.1, 0.5, 0.9][random.below(3)] ?? 0.5;
    yield sectors.map(({ contents }) => (random.chance(persists) ? 1 + random.below(contents.length) : 0));
  }
}

/** By whole changes: none, all, and for each change: up to it, it alone, all but it. */
function* structuredChoices(cut: ReadonlyMap<string, FileAtCut>, sectors: readonly OpenSector[]): Generator<Choice> {
  const all = [...cut].flatMap(([file, { changes }]) => changes.map((change) => ({ file, ...change })));
  const having = (wanted: (index: number) => boolean): Choice =>
    sectors.map(({ file, offset, contents }) => {
      let content: Uint8Array | undefined;
      all.forEach((change, index) => {
        const touches = change.file === file && change.offset < offset + SECTOR && offset < change.offset + change.bytes.length;
        if (!touches || !wanted(index)) return;
        content = changed(content ?? sectorOf(cut.get(file)?.durable ?? new Uint8Array(0), offset), offset, change.offset, change.bytes);
      });
      const found = content;
      return found === undefined ? 0 : 1 + contents.findIndex((known) => Buffer.compare(known, found) === 0);
    });
  yield having(() => false);
  yield having(() => true);
  for (let index = 0; index < all.length; index++) {
    yield having((other) => other <= index);
    yield having((other) => other === index);
    yield having((other) => other !== index);
  }
}

/** Every other disk is as long as before the cut: a file may have grown though nothing was written behind its old end. */
function built(cut: ReadonlyMap<string, FileAtCut>, sectors: readonly OpenSector[], choice: Choice, serial: number): FilesAfterCut {
  const files = new Map<string, Uint8Array>();
  for (const [name, { durable, size }] of cut) {
    const present = sectors.flatMap(({ file, end }, index) => (file === name && (choice[index] ?? 0) > 0 ? [end] : []));
    const least = Math.max(durable.length, ...present);
    const bytes = new Uint8Array(serial % 2 === 0 ? least : Math.max(size, least));
    bytes.set(durable);
    files.set(name, bytes);
  }
  sectors.forEach(({ file, offset, contents }, index) => {
    const content = contents[(choice[index] ?? 0) - 1];
    const bytes = files.get(file);
    if (content !== undefined && bytes !== undefined) bytes.set(content.subarray(0, bytes.length - offset), offset);
  });
  return files;
}
