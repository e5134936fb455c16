/** What may be on a disk after a power cut: every combination of the sectors that no flush covers, or a sample of them. */

import type { SeededRandom } from "../seeded-random.ts";
import { PagedBytes } from "../storage/paged-bytes.ts";
import { SECTOR_SIZE } from "./sector-content.ts";
import type { FileAtCut, UnflushedChange } from "./sim-file.ts";

/** Files by name, as the power cut finds them. */
type FilesAtCut = ReadonlyMap<string, FileAtCut>;

/** Files by name. */
export type FilesAfterCut = ReadonlyMap<string, PagedBytes>;

/** One sector and the contents that it may have, beside what was durable. */
interface OpenSector {
  readonly file: string;
  readonly offset: number;
  /** Where the last change of it ends: so long the file is at least, if one of them got there. */
  readonly end: number;
  readonly contents: readonly Uint8Array[];
}

/** One disk that may be left. */
interface State {
  /** What each open sector holds; `undefined`: what is durable. */
  readonly contents: readonly (Uint8Array | undefined)[];
  /** Files that are as long as before the cut, though nothing of what made them longer is there. */
  readonly grown: readonly string[];
}

/** How many disks are made. */
export interface CrashStateOptions {
  /** Up to that many all are built; beyond, a sample of as many. */
  readonly bound: number;
  readonly random: SeededRandom;
}

/**
 * The disks that may be left, each once where all are built. A sample always has, as far as the bound allows: nothing of it persisted, with
 * files as short as they were and grown; all of it; of the last changes each prefix, each alone, and all but each; the rest is chance,
 * sector by sector.
 */
export function* crashStates(cut: FilesAtCut, options: CrashStateOptions): Generator<FilesAfterCut> {
  const sectors = openSectors(cut, options.bound);
  const states = countOf(cut, sectors) <= options.bound ? allStates(cut, sectors) : sampledStates(cut, sectors, options);
  for (const state of states) yield built(cut, sectors, state);
}

/** A sector that may hold more than `limit` contents is given no more by every change: they are too many anyway. */
function openSectors(cut: FilesAtCut, limit: number): readonly OpenSector[] {
  return [...cut].flatMap(([file, { changes, durable }]) => {
    const sectors = new Map<number, { end: number; readonly contents: Map<string, Uint8Array> }>();
    for (const change of changes) {
      for (let start = startOf(change.offset); start < endOf(change); start += SECTOR_SIZE) {
        const sector = sectors.get(start) ?? { end: 0, contents: new Map<string, Uint8Array>() };
        sectors.set(start, sector);
        sector.end = Math.max(sector.end, Math.min(start + SECTOR_SIZE, endOf(change)));
        // A change of a part of a sector is made to what the disk holds then: the durable content, or an earlier change.
        const bases = [sectorOf(durable, start), ...(sector.contents.size > limit ? [] : sector.contents.values())];
        for (const base of bases) addContent(sector.contents, changed(base, start, change));
      }
    }
    return [...sectors].map(([offset, { end, contents }]) => {
      if (end <= durable.length) contents.delete(keyOf(sectorOf(durable, offset)));
      return { file, offset, end, contents: [...contents.values()] };
    });
  });
}

function addContent(contents: Map<string, Uint8Array>, content: Uint8Array): void {
  const key = keyOf(content);
  if (!contents.has(key)) contents.set(key, content);
}

function keyOf(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1");
}

function startOf(offset: number): number {
  return offset - (offset % SECTOR_SIZE);
}

function endOf({ offset, bytes }: UnflushedChange): number {
  return offset + bytes.length;
}

function sectorOf(bytes: PagedBytes, start: number): Uint8Array {
  const sector = new Uint8Array(SECTOR_SIZE);
  bytes.read(start, sector);
  return sector;
}

function changed(sector: Uint8Array, start: number, { offset, bytes }: UnflushedChange): Uint8Array {
  const copy = sector.slice();
  const from = Math.max(start, offset);
  copy.set(bytes.subarray(from - offset, Math.min(bytes.length, start + SECTOR_SIZE - offset)), from - start);
  return copy;
}

/** Exact: for each file its combinations of sectors, and once more those that leave it shorter than it was. */
function countOf(cut: FilesAtCut, sectors: readonly OpenSector[]): number {
  let count = 1;
  for (const [name, { durable, size }] of cut) {
    const own = sectors.filter(({ file }) => file === name);
    const combinations = product(own);
    count *= size <= durable.length ? combinations : combinations + product(own.filter(({ end }) => end < size));
  }
  return count;
}

function product(sectors: readonly OpenSector[]): number {
  return sectors.reduce((count, { contents }) => count * (contents.length + 1), 1);
}

function* allStates(cut: FilesAtCut, sectors: readonly OpenSector[]): Generator<State> {
  const indices = sectors.map(() => 0);
  for (;;) {
    const contents = sectors.map((sector, at) => sector.contents[(indices[at] ?? 0) - 1]);
    for (const grown of subsetsOf(shorterFiles(cut, sectors, contents))) yield { contents, grown };
    const next = indices.findIndex((value, at) => value < (sectors[at]?.contents.length ?? 0));
    if (next < 0) return;
    indices[next] = (indices[next] ?? 0) + 1;
    indices.fill(0, 0, next);
  }
}

/** Files that are shorter than before the cut, if nothing but sectors that got there makes them longer. */
function shorterFiles(cut: FilesAtCut, sectors: readonly OpenSector[], contents: State["contents"]): readonly string[] {
  return [...cut].flatMap(([name, { size }]) => (leastSize(cut, sectors, contents, name) < size ? [name] : []));
}

function leastSize(cut: FilesAtCut, sectors: readonly OpenSector[], contents: State["contents"], name: string): number {
  const ends = sectors.flatMap(({ file, end }, at) => (file === name && contents[at] !== undefined ? [end] : []));
  return Math.max(cut.get(name)?.durable.length ?? 0, ...ends);
}

function subsetsOf(names: readonly string[]): readonly (readonly string[])[] {
  return names.reduce<readonly (readonly string[])[]>((subsets, name) => [...subsets, ...subsets.map((subset) => [...subset, name])], [[]]);
}

function* sampledStates(cut: FilesAtCut, sectors: readonly OpenSector[], { bound, random }: CrashStateOptions): Generator<State> {
  const allFiles = [...cut.keys()];
  const [none, all, ...parts] = structuredContents(cut, sectors, bound);
  const first = [
    ...(none === undefined ? [] : bothSizes(cut, sectors, none)),
    ...(all === undefined ? [] : [{ contents: all, grown: [] }]),
  ];
  // The last changes are the ones that are in the middle of something.
  const wanted = Math.max(0, Math.min(Math.ceil(bound / 2), bound - first.length));
  const last = parts.slice(Math.max(0, parts.length - wanted));
  yield* first.slice(0, bound);
  for (const [index, contents] of last.entries()) yield { contents, grown: index % 2 === 0 ? [] : allFiles };
  for (let left = bound - first.length - last.length; left > 0; left--) {
    const persists = random.pick([0.1, 0.5, 0.9]);
    const contents = sectors.map((sector) =>
      sector.contents.length > 0 && random.chance(persists) ? random.pick(sector.contents) : undefined,
    );
    yield { contents, grown: allFiles.filter(() => random.chance(0.5)) };
  }
}

function bothSizes(cut: FilesAtCut, sectors: readonly OpenSector[], contents: State["contents"]): readonly State[] {
  const grown = shorterFiles(cut, sectors, contents);
  return [{ contents, grown: [] }, ...(grown.length > 0 ? [{ contents, grown }] : [])];
}

/** By whole changes: none, all, and for each of the last `limit`: up to it, it alone, all but it; each such choice of changes once. */
function* structuredContents(cut: FilesAtCut, sectors: readonly OpenSector[], limit: number): Generator<State["contents"]> {
  const changes = [...cut].flatMap(([file, at]) => at.changes.map((change) => ({ file, ...change })));
  const touching = sectors.map(({ file, offset }) =>
    [...changes.keys()].filter((index) => {
      const change = changes[index];
      return change !== undefined && change.file === file && change.offset < offset + SECTOR_SIZE && offset < endOf(change);
    }),
  );
  const known = new Set<string>();
  const having = function* (wanted: (index: number) => boolean): Generator<State["contents"]> {
    const key = changes.map((_change, index) => (wanted(index) ? "1" : "0")).join("");
    if (known.has(key)) return;
    known.add(key);
    yield sectors.map(({ file, offset }, at) => {
      const own = (touching[at] ?? []).filter(wanted).flatMap((index) => changes[index] ?? []);
      if (own.length === 0) return undefined;
      return own.reduce(
        (content, change) => changed(content, offset, change),
        sectorOf(cut.get(file)?.durable ?? PagedBytes.zeros(0), offset),
      );
    });
  };
  yield* having(() => false);
  yield* having(() => true);
  for (let index = Math.max(0, changes.length - limit); index < changes.length; index++) {
    yield* having((other) => other <= index);
    yield* having((other) => other === index);
    yield* having((other) => other !== index);
  }
}

function built(cut: FilesAtCut, sectors: readonly OpenSector[], { contents, grown }: State): FilesAfterCut {
  const files = new Map<string, PagedBytes>();
  for (const [name, { durable, size }] of cut) {
    const least = leastSize(cut, sectors, contents, name);
    const bytes = durable.copy();
    bytes.resize(grown.includes(name) ? Math.max(size, least) : least);
    files.set(name, bytes);
  }
  sectors.forEach(({ file, offset }, at) => {
    const content = contents[at];
    const bytes = files.get(file);
    if (content !== undefined && bytes !== undefined) bytes.write(offset, content.subarray(0, bytes.length - offset));
  });
  return files;
}
