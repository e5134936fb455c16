/** Compresses and decompresses units by libraries of the host, on whichever thread has loaded them: the zlib that is in Node itself, and the zstd there (22.15 and later) or the system's. */

import { CodecLibrary, type CodecFunction } from "./codec-library.ts";
import { findDeflate } from "./deflate-codec.ts";
import { findZstd } from "./zstd-codec.ts";

/** What is done with a unit; the number of each is its place in the list. */
export const CODEC_TASKS = ["deflate", "inflate", "zstdCompress", "zstdDecompress"] as const;
export type CodecTask = (typeof CODEC_TASKS)[number];

/** Where the bytes are in memory, which is the same for all threads of the process. */
export interface UnitPlaces {
  readonly from: bigint;
  readonly fromLength: number;
  readonly into: bigint;
  readonly intoLength: number;
}

/** A unit under way; disposed when the library has nothing more to do with it. */
export interface UnitCall extends Disposable {
  readonly call: CodecFunction;
  readonly parameters: readonly (number | bigint)[];
  /** Told what the call answered: bytes that are in `into` now, or `NO_ROOM`; `undefined`: the same call has to be made again. */
  finish(result: number): number | undefined;
}

/** `into` is too short for the compressed unit. */
export const NO_ROOM = -1;

/** Those that the host can do. */
export type UnitCodecs = Readonly<Partial<Record<CodecTask, (places: UnitPlaces) => UnitCall>>>;

/** Pointers, sizes and `long` have 64 bits, the lowest first: what the structures of the codecs are written for. */
const ARCHITECTURES: readonly string[] = ["x64", "arm64", "riscv64", "loong64"];
const ZSTD_NAMES: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: "libzstd.so.1", darwin: "libzstd.1.dylib" };

/**
 * Streams and contexts belong to the thread that loads them. `node`: Node's own functions. What is among them is taken from there: the system
 * would bind the inner calls of a second zlib or zstd to Node's, and structures of two versions would be mixed.
 */
export async function loadUnitCodecs(node: CodecLibrary): Promise<UnitCodecs> {
  const zstdName = ZSTD_NAMES[process.platform];
  if (zstdName === undefined || !ARCHITECTURES.includes(process.arch)) return {};
  const nodeHasZstd = node.find([["ZSTD_versionNumber", "uint", []]]) !== undefined;
  return { ...findDeflate(node), ...findZstd(nodeHasZstd ? node : await CodecLibrary.load(zstdName)) };
}

/** The whole unit on the calling thread; answers as `finish` does. */
export function callHere(begun: UnitCall): number {
  using unit = begun;
  for (;;) {
    const answer = unit.finish(unit.call(...unit.parameters) as number);
    if (answer !== undefined) return answer;
  }
}
