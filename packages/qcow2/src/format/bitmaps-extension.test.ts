/** Every state of the first cluster that a power cut may leave while the header comes to point to other bitmaps. */

import { describe, expect, it } from "vitest";
import { type BackingWords } from "./header-rewrite.ts";
import { bitmapsSteps } from "./bitmaps-extension.ts";
import { BITMAPS, FEATURE_NAMES } from "./features.ts";
import { decodeHeader, encodeHeader, type Header, V3_HEADER_LENGTH } from "./header.ts";
import { type BitmapsExtension, decodeHeaderExtensions, encodeHeaderExtensions } from "./header-extensions.ts";
import { extensionArea } from "./header-rules.ts";

const SECTOR = 512;
const FIRST: BitmapsExtension = { count: 1, directoryLength: 32, directoryOffset: 0x5_0000 };
const SECOND: BitmapsExtension = { count: 700, directoryLength: 40_000, directoryOffset: 0x123_4567_0000 };

interface Kind {
  readonly what: string;
  readonly length: number;
  readonly backing?: BackingWords;
  readonly featureNames?: boolean;
  /** An extension that nobody knows, before all others. */
  readonly unknownBytes?: number;
  /** Extensions end where the name begins, with no end marker. */
  readonly unmarked?: boolean;
}

function clusterOf({ length, backing, featureNames = false, unknownBytes = 0, unmarked = false }: Kind): Uint8Array {
  const known = encodeHeaderExtensions({
    ...(backing?.format === undefined ? {} : { backingFormat: backing.format }),
    ...(featureNames ? { featureNames: FEATURE_NAMES } : {}),
  });
  const unknown = Buffer.alloc(unknownBytes, 7);
  if (unknownBytes > 0) unknown.writeUInt32BE(0x1234_5678, 0);
  if (unknownBytes > 0) unknown.writeUInt32BE(unknownBytes - 8, 4);
  const area = Buffer.concat([unknown, known.subarray(0, known.length - (unmarked ? 8 : 0))]);
  const name = new TextEncoder().encode(backing?.filename ?? "");
  const header: Header = {
    version: 3,
    backingOffset: name.length === 0 ? 0 : V3_HEADER_LENGTH + area.length,
    backingLength: name.length,
    clusterBits: Math.log2(length),
    size: 1 << 20,
    cryptMethod: 0,
    l1Entries: 1,
    l1Offset: length * 3,
    refcountTableOffset: length,
    refcountTableClusters: 1,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible: 0n,
    compatible: 1n,
    autoclear: 0n,
    refcountOrder: 4,
    headerLength: V3_HEADER_LENGTH,
    compressionType: 0,
  };
  const bytes = new Uint8Array(length);
  bytes.set(Buffer.concat([encodeHeader(header), area, name]));
  return bytes;
}

/** What the header says: the bitmaps that count, and all else that shall stay. */
function readAll(cluster: Uint8Array): { readonly bitmaps: BitmapsExtension | undefined; readonly others: unknown } {
  const header = decodeHeader(cluster);
  const { start, end } = extensionArea(header);
  const { bitmaps, ...others } = decodeHeaderExtensions(cluster.subarray(start, end), start);
  const { backingOffset, backingLength, autoclear, ...fields } = header;
  const name = Buffer.from(cluster.subarray(backingOffset, backingOffset + backingLength)).toString();
  return {
    bitmaps: (autoclear & BITMAPS) === 0n ? undefined : bitmaps,
    others: { ...fields, others, name: backingOffset === 0 ? "" : name },
  };
}

/** Takes all steps, and looks at whatever a cut may leave of each: sectors are whole. */
function change(before: Uint8Array, extension: BitmapsExtension | undefined): Uint8Array {
  const was = readAll(before);
  const { steps, autoclear, backingOffset } = bitmapsSteps(before, decodeHeader(before), extension);
  let cluster = new Uint8Array(before);
  for (const { at, bytes } of steps) {
    const after = new Uint8Array(cluster);
    after.set(bytes, at);
    const touched = Math.floor((at + bytes.length - 1) / SECTOR) - Math.floor(at / SECTOR) + 1;
    for (let subset = 0; subset < 2 ** touched; subset++) {
      const torn = new Uint8Array(cluster);
      for (let index = 0; index < touched; index++) {
        const sector = (Math.floor(at / SECTOR) + index) * SECTOR;
        if (Math.floor(subset / 2 ** index) % 2 === 1) torn.set(after.subarray(sector, sector + SECTOR), sector);
      }
      const found = readAll(torn);
      expect([was.bitmaps, extension, undefined]).toContainEqual(found.bitmaps);
      expect(found.others).toEqual(was.others);
    }
    cluster = after;
  }
  expect(readAll(cluster)).toEqual({ bitmaps: extension, others: was.others });
  expect(decodeHeader(cluster)).toMatchObject({ autoclear, backingOffset });
  return cluster;
}

const KINDS: readonly Kind[] = [
  { what: "a small cluster", length: 512 },
  { what: "a small cluster with a backing file", length: 512, backing: { filename: "base.qcow2", format: "qcow2" } },
  { what: "what QEMU makes", length: 65_536, featureNames: true },
  { what: "what QEMU makes with a backing file", length: 65_536, featureNames: true, backing: { filename: "/a/long/name", format: "raw" } },
  { what: "a name over several sectors", length: 8192, featureNames: true, backing: { filename: `/${"long/".repeat(204)}` } },
  ...[0, 8, 16, 24, 32].map((more) => ({ what: `an end ${more} bytes before a sector's`, length: 4096, unknownBytes: 400 - 8 - more })),
  { what: "no end marker", length: 4096, backing: { filename: "base" }, unmarked: true },
  { what: "no end marker behind the format", length: 4096, backing: { filename: "base".repeat(200), format: "raw" }, unmarked: true },
];

describe("bitmaps in the header", () => {
  it.each(KINDS)("$what: come, change and go, and no cut leaves anything else", (kind) => {
    let cluster = change(clusterOf(kind), FIRST);
    cluster = change(cluster, SECOND);
    cluster = change(cluster, undefined);
    cluster = change(cluster, FIRST);
    change(cluster, undefined);
  });

  it("are refused where there is no room", () => {
    for (const kind of [
      { what: "", length: 512, unknownBytes: 400 - 8 },
      { what: "", length: 512, backing: { filename: "n".repeat(200) } },
      { what: "", length: 4096, unknownBytes: 400, unmarked: true, backing: { filename: "base" } },
    ]) {
      const cluster = clusterOf(kind);
      expect(() => bitmapsSteps(cluster, decodeHeader(cluster), FIRST)).toThrow(/has no room for bitmaps/);
    }
  });

  it("that do not count are overwritten before they count again", () => {
    const cluster = change(clusterOf({ what: "", length: 4096 }), FIRST);
    cluster.fill(0, 88, 96);
    change(cluster, SECOND);
  });
});
