import { describe, expect, it } from "vitest";
import { backingSteps, type BackingWords } from "./header-rewrite.ts";
import { decodeHeader, encodeHeader, type Header, V2_HEADER_LENGTH, V3_HEADER_LENGTH } from "./header.ts";
import { decodeHeaderExtensions, encodeHeaderExtensions, extensionRecords } from "./header-extensions.ts";
import { extensionArea } from "./header-rules.ts";
import { FEATURE_NAMES } from "./features.ts";

const SECTOR = 512;

function clusterOf(length: number, version: 2 | 3, backing: BackingWords | undefined, unknown: Uint8Array = new Uint8Array(0)): Uint8Array {
  const known = encodeHeaderExtensions({
    ...(backing?.format === undefined ? {} : { backingFormat: backing.format }),
    ...(version === 3 && length >= 8192 ? { featureNames: FEATURE_NAMES } : {}),
  });
  const headerLength = version === 2 ? V2_HEADER_LENGTH : V3_HEADER_LENGTH;
  const area = Buffer.concat([unknown, known]);
  const name = new TextEncoder().encode(backing?.filename ?? "");
  const header: Header = {
    version,
    backingOffset: name.length === 0 ? 0 : headerLength + area.length,
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
    compatible: 0n,
    autoclear: 0n,
    refcountOrder: 4,
    headerLength,
    compressionType: 0,
  };
  const bytes = new Uint8Array(length);
  bytes.set(Buffer.concat([encodeHeader(header), area, name]));
  return bytes;
}

function namedIn(cluster: Uint8Array): BackingWords {
  const header = decodeHeader(cluster);
  const { start, end } = extensionArea(header);
  const { backingFormat } = decodeHeaderExtensions(cluster.subarray(start, end), start);
  const { backingOffset, backingLength } = header;
  const filename = backingOffset === 0 ? "" : new TextDecoder().decode(cluster.subarray(backingOffset, backingOffset + backingLength));
  return { filename, format: backingFormat };
}

/** What a power cut may leave between two states of a cluster: each sector is that of one or of the other. */
function* torn(before: Uint8Array, after: Uint8Array): Generator<Uint8Array> {
  const differing = [];
  for (let at = 0; at < before.length; at += SECTOR)
    if (Buffer.compare(before.subarray(at, at + SECTOR), after.subarray(at, at + SECTOR)) !== 0) differing.push(at);
  for (let subset = 0; subset < 2 ** differing.length; subset++) {
    const bytes = new Uint8Array(before);
    for (const [bit, at] of differing.entries())
      if (Math.floor(subset / 2 ** bit) % 2 === 1) bytes.set(after.subarray(at, at + SECTOR), at);
    yield bytes;
  }
}

const NAMES: readonly (BackingWords | undefined)[] = [
  undefined,
  { filename: "a", format: "raw" },
  { filename: "base.qcow2" },
  { filename: "b".repeat(300), format: "qcow2" },
  { filename: `/${"long/".repeat(204)}`, format: "qed" },
];

describe("another backing file in the header", () => {
  for (const [length, version] of [
    [512, 3],
    [4096, 3],
    [65536, 2],
    [65536, 3],
    [8192, 3],
  ] as const) {
    it(`is there whole or not at all, whatever a power cut leaves of clusters of ${length} bytes, version ${version}`, () => {
      for (const old of NAMES) {
        for (const next of NAMES) {
          let before;
          let steps;
          try {
            before = clusterOf(length, version, old);
            steps = backingSteps(before, decodeHeader(before), next);
          } catch (error) {
            expect(String(error)).toMatch(/do not fit|offset is out of bounds/);
            expect(length).toBe(512);
            continue;
          }
          const expected = [old, next].map((words) => ({ filename: words?.filename ?? "", format: words?.format }));
          for (const step of steps) {
            for (const bytes of torn(before, step)) expect(expected).toContainEqual(namedIn(bytes));
            before = step;
          }
          expect(namedIn(before)).toEqual(expected[1]);
        }
      }
    });
  }

  it("keeps extensions that are unknown, in their order", () => {
    const unknown = encodeUnknown(0x12345678, "keep me");
    const before = clusterOf(65536, 3, { filename: "a", format: "raw" }, unknown);
    const last = backingSteps(before, decodeHeader(before), { filename: "other", format: "qcow2" }).at(-1) ?? before;
    const { start, end } = extensionArea(decodeHeader(last));
    const types = [...extensionRecords(last.subarray(start, end), start)].map(({ type }) => type);
    expect(types).toEqual([0x12345678, 0xe2792aca, 0x6803f857]);
    expect(Buffer.from(last).includes("keep me")).toBe(true);
  });

  it("is refused where names are too long", () => {
    const before = clusterOf(65536, 3, undefined);
    expect(() => backingSteps(before, decodeHeader(before), { filename: "x".repeat(1024) })).toThrow(/1024 bytes long, more than 1023/);
    expect(() => backingSteps(before, decodeHeader(before), { filename: "x", format: "y".repeat(16) })).toThrow(
      /16 bytes long, more than 15/,
    );
  });
});

function encodeUnknown(type: number, text: string): Uint8Array {
  const data = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + Math.ceil(data.length / 8) * 8);
  new DataView(bytes.buffer).setUint32(0, type);
  new DataView(bytes.buffer).setUint32(4, data.length);
  bytes.set(data, 8);
  return bytes;
}
