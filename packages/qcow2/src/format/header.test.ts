import { BlockError } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { DIRTY, EXTENDED_L2, FEATURE_NAMES } from "./features.ts";
import { decodeHeader, encodeHeader, type Header } from "./header.ts";
import { decodeHeaderExtensions, encodeHeaderExtensions, type HeaderExtensions } from "./header-extensions.ts";
import { checkHeader, checkHeaderFrame, extensionArea } from "./header-rules.ts";

const KIB_64 = 65_536;
const V3: Header = {
  version: 3,
  backingOffset: 0,
  backingLength: 0,
  clusterBits: 16,
  size: 2 ** 30,
  cryptMethod: 0,
  l1Entries: 2,
  l1Offset: 3 * KIB_64,
  refcountTableOffset: KIB_64,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0,
  incompatible: 0n,
  compatible: 0n,
  autoclear: 0n,
  refcountOrder: 4,
  headerLength: 112,
  compressionType: 0,
};

function failure(header: Partial<Header>, extensions: HeaderExtensions = {}): BlockError | undefined {
  try {
    const whole = { ...V3, ...header };
    checkHeaderFrame(whole);
    checkHeader(whole, extensions);
    return undefined;
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
}

describe("the header as bytes", () => {
  it("is read as it was written, in both versions", () => {
    const full = {
      ...V3,
      backingOffset: 600,
      backingLength: 9,
      size: 2 ** 52,
      l1Offset: 2 ** 40,
      incompatible: EXTENDED_L2 | (1n << 63n),
      compatible: 1n,
      autoclear: 2n,
      compressionType: 1,
    };
    expect(decodeHeader(encodeHeader(full))).toEqual(full);
    const v2: Header = { ...V3, version: 2, headerLength: 72 };
    expect(encodeHeader(v2)).toHaveLength(72);
    expect(decodeHeader(encodeHeader(v2))).toEqual(v2);
  });

  it("reads nothing of version 3 in version 2, whatever bytes follow", () => {
    const bytes = new Uint8Array(112).fill(0xff);
    bytes.set(encodeHeader({ ...V3, version: 2, headerLength: 72 }));
    expect(decodeHeader(bytes)).toEqual({ ...V3, version: 2, headerLength: 72 });
  });

  it("has no compression type where the header ends before it", () => {
    const bytes = encodeHeader({ ...V3, compressionType: 1 });
    new DataView(bytes.buffer).setUint32(100, 104);
    expect(decodeHeader(bytes).compressionType).toBe(0);
  });

  it.each([0, 1, 4, 0xffff_ffff])("refuses version %i by its number", (version) => {
    const bytes = encodeHeader(V3);
    new DataView(bytes.buffer).setUint32(4, version);
    expect(() => decodeHeader(bytes)).toThrow(`qcow2 version ${version} is not supported`);
  });

  it("refuses short files and other magics", () => {
    expect(() => decodeHeader(new Uint8Array(71))).toThrow("71 bytes long");
    expect(() => decodeHeader(encodeHeader(V3).subarray(0, 103))).toThrow("103 bytes long");
    expect(() => decodeHeader(new Uint8Array(112))).toThrow("0x00000000");
  });

  it.each([8, 24, 40, 48, 64])("refuses 2^53 and 2^63 at offset %i", (at) => {
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = encodeHeader(V3);
      new DataView(bytes.buffer).setBigUint64(at, value);
      expect(() => decodeHeader(bytes)).toThrow(`0x${value.toString(16)}`);
    }
  });
});

describe("header rules", () => {
  it("accepts what is right", () => {
    expect(failure({})).toBeUndefined();
    expect(failure({ size: 0, l1Entries: 0, l1Offset: 0 })).toBeUndefined();
    expect(failure({ clusterBits: 9, refcountOrder: 0, headerLength: 512, size: 4096 })).toBeUndefined();
    expect(failure({ clusterBits: 21, refcountOrder: 6, l1Offset: 2 ** 32, refcountTableOffset: 2 ** 31 })).toBeUndefined();
    expect(failure({ size: 2 ** 51, l1Entries: 4_194_304 })).toBeUndefined();
  });

  const refused: [what: string, header: Partial<Header>, message: string, extensions?: HeaderExtensions][] = [
    ["tiny clusters", { clusterBits: 8 }, "cluster size is 2^8"],
    ["no clusters", { clusterBits: 0 }, "cluster size is 2^0"],
    ["huge clusters", { clusterBits: 22 }, "cluster size is 2^22"],
    ["shifts beyond 32 bits", { clusterBits: 0xffff_ffff }, "cluster size is 2^4294967295"],
    ["a short header", { headerLength: 96 }, "header length is 96"],
    ["a crooked header", { headerLength: 108 }, "header length is 108"],
    ["a header longer than its cluster", { clusterBits: 9, headerLength: 520 }, "exceeds the cluster"],
    ["a backing name outside of the cluster", { backingOffset: KIB_64 + 8 }, "outside of the first cluster"],
    ["a backing name that is too long", { backingOffset: 512, backingLength: 1024 }, "1024 bytes long"],
    ["a backing name that leaves the cluster", { backingOffset: KIB_64 - 8, backingLength: 9 }, "9 bytes long"],
    ["wide refcounts", { refcountOrder: 7 }, "refcount width is 2^7"],
    ["an L1 table above the limit", { l1Entries: 4_194_305 }, "33554440 bytes long"],
    ["an L1 table of 2^32 - 1 entries", { l1Entries: 0xffff_ffff }, "more than 33554432"],
    ["an L1 table that is too small", { l1Entries: 1 }, "needs 2"],
    ["a disk that no table covers", { size: 2 ** 52 }, "needs 8388608"],
    ["a crooked L1 table", { l1Offset: KIB_64 + 512 }, "not aligned"],
    ["no refcount table", { refcountTableClusters: 0 }, "no refcount table"],
    ["a refcount table above the limit", { refcountTableClusters: 129 }, "more than 8388608"],
    ["a crooked refcount table", { refcountTableOffset: 8 }, "refcount table is at offset 0x8"],
    ["a refcount table at the end of numbers", { refcountTableOffset: 2 ** 53 - KIB_64 }, "ends beyond 8 PiB"],
    ["too many snapshots", { snapshotCount: 65_537 }, "65537 snapshots"],
    ["a crooked snapshot table", { snapshotCount: 1, snapshotsOffset: 4096 }, "snapshot table is at offset 0x1000"],
    ["unknown encryption", { cryptMethod: 3 }, "encryption method 3"],
    ["LUKS without keys", { cryptMethod: 2 }, "does not say where the keys are"],
    ["keys without LUKS", {}, "not encrypted with LUKS", { encryption: { offset: 0, length: 0 } }],
    ["a compression type without its bit", { compressionType: 1 }, "feature bit that goes with it is not set"],
    ["a compression bit without its type", { incompatible: 8n }, "feature bit that goes with it is set"],
    ["an unknown compression type", { incompatible: 8n, compressionType: 2 }, "compression type 2"],
    ["extended entries in small clusters", { incompatible: EXTENDED_L2, clusterBits: 13, l1Entries: 4096 }, "at least 16 KiB"],
    ["raw data without a data file", { autoclear: 2n }, "no data file"],
    ["raw data with a backing file", { autoclear: 2n, incompatible: 4n, backingOffset: 512 }, "names a backing file"],
    ["bitmaps that are nowhere", { autoclear: 1n }, "not where"],
    ["no bitmaps", { autoclear: 1n }, "counts 0 bitmaps", { bitmaps: { count: 0, directoryLength: 0, directoryOffset: 0 } }],
    [
      "a huge bitmap directory",
      { autoclear: 1n },
      "bitmap directory is",
      { bitmaps: { count: 1, directoryLength: 2 ** 40, directoryOffset: 0 } },
    ],
  ];
  it.each(refused)("refuses %s", (_what, header, message, extensions) => {
    expect(failure(header, extensions)?.message).toContain(message);
  });

  it("names unknown features: from the image's table, from ours, or by number", () => {
    const named = failure(
      { incompatible: (1n << 5n) | (1n << 62n) | DIRTY },
      { featureNames: [{ featureClass: "incompatible", bit: 5, name: "time travel" }] },
    );
    expect(named?.code).toBe("UNSUPPORTED_FEATURE");
    expect(named?.message).toContain("time travel, unknown incompatible feature bit 62");
    expect(named?.message).not.toContain("dirty");
  });

  it("ignores unknown compatible and autoclear features", () => {
    expect(failure({ compatible: 1n << 60n, autoclear: 1n << 60n })).toBeUndefined();
  });
});

describe("header extensions", () => {
  const area = (...records: [type: number, data: Uint8Array][]): Uint8Array =>
    Buffer.concat(
      records.map(([type, data]) => {
        const bytes = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8);
        bytes.writeUInt32BE(type, 0);
        bytes.writeUInt32BE(data.length, 4);
        bytes.set(data, 8);
        return bytes;
      }),
    );

  it("start at 72 in version 2 and after the header in version 3, and end with the cluster or before the backing name", () => {
    expect(extensionArea({ ...V3, version: 2, headerLength: 72 })).toEqual({ start: 72, end: KIB_64 });
    expect(extensionArea({ ...V3, backingOffset: 600 })).toEqual({ start: 112, end: 600 });
    expect(extensionArea({ ...V3, backingOffset: 8 })).toEqual({ start: 112, end: 112 });
  });

  it("are read as they were written", () => {
    const extensions = { backingFormat: "raw", dataFile: "disk.data", featureNames: FEATURE_NAMES };
    expect(decodeHeaderExtensions(encodeHeaderExtensions(extensions), 112)).toEqual(extensions);
  });

  it("skip what is unknown and stop at the end marker", () => {
    const bytes = area(
      [0x1234_5678, new Uint8Array(5)],
      [0xe279_2aca, Buffer.from("qcow2")],
      [0, new Uint8Array(0)],
      [0xe279_2aca, Buffer.from("raw")],
    );
    expect(decodeHeaderExtensions(bytes, 112)).toEqual({ backingFormat: "qcow2" });
  });

  it("need no end marker", () => {
    expect(decodeHeaderExtensions(area([0xe279_2aca, Buffer.from("qcow2raw")]), 72)).toEqual({ backingFormat: "qcow2raw" });
    expect(decodeHeaderExtensions(new Uint8Array(4), 72)).toEqual({});
  });

  it("read bitmaps and encryption", () => {
    const bitmaps = Buffer.alloc(24);
    bitmaps.writeUInt32BE(3, 0);
    bitmaps.writeUInt32BE(96, 12);
    bitmaps.writeUInt32BE(0x5_0000, 20);
    const keys = Buffer.alloc(16);
    keys.writeUInt32BE(1, 3);
    keys.writeUInt32BE(7, 12);
    expect(decodeHeaderExtensions(area([0x2385_2875, bitmaps], [0x0537_be77, keys]), 112)).toEqual({
      bitmaps: { count: 3, directoryLength: 96, directoryOffset: 0x5_0000 },
      encryption: { offset: 256, length: 7 },
    });
  });

  const broken: [what: string, bytes: Uint8Array, message: string][] = [
    ["that runs out of the header", area([1, new Uint8Array(16)]).subarray(0, 16), "runs out of the header"],
    ["of 2^32 - 1 bytes", Buffer.from("00000001ffffffff0000000000000000", "hex"), "4294967295 bytes long"],
    ["that comes twice", area([0xe279_2aca, Buffer.from("raw")], [0xe279_2aca, Buffer.from("raw")]), "second time at offset 0x80"],
    ["with a long format name", area([0xe279_2aca, new Uint8Array(16).fill(97)]), "16 bytes"],
    ["with short bitmaps", area([0x2385_2875, new Uint8Array(16)]), "16 bytes"],
    ["with short keys", area([0x0537_be77, new Uint8Array(8)]), "8 bytes"],
    ["with a reserved field in use", area([0x2385_2875, new Uint8Array(24).fill(1)]), "reserved field"],
  ];
  it.each(broken)("refuse one %s", (_what, bytes, message) => {
    expect(() => decodeHeaderExtensions(bytes, 112)).toThrow(message);
  });

  it("take a feature table that is cut short, and names without end", () => {
    const table = Buffer.alloc(48 + 20);
    table[1] = 5;
    table.fill("x", 2, 48);
    expect(decodeHeaderExtensions(area([0x6803_f857, table]), 112)).toEqual({
      featureNames: [{ featureClass: "incompatible", bit: 5, name: "x".repeat(46) }],
    });
  });
});
