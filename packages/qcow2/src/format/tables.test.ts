import { describe, expect, it } from "vitest";
import { clusterOf, clustersFor, geometryOf, l1EntriesFor, l1IndexOf, l2IndexOf } from "./geometry.ts";
import { decodeSnapshotTable, encodeSnapshotTable } from "./snapshot-table.ts";

describe("addresses", () => {
  const geometry = geometryOf({ version: 3, clusterBits: 16, refcountOrder: 4, incompatible: 0n });

  it.each([0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 65_535, Number.MAX_SAFE_INTEGER])("are exact at %i", (offset) => {
    const exact = BigInt(offset);
    expect(BigInt(l1IndexOf(geometry, offset))).toBe(exact / 2n ** 29n);
    expect(BigInt(l2IndexOf(geometry, offset))).toBe((exact / 65_536n) % 8192n);
    expect(BigInt(clusterOf(geometry, offset))).toBe(exact / 65_536n);
  });

  it("count what is begun as whole", () => {
    expect([0, 1, 2 ** 29, 2 ** 29 + 1, 2 ** 40].map((size) => l1EntriesFor(geometry, size))).toEqual([0, 1, 1, 2, 2048]);
    expect([0, 1, 65_536, 65_537].map((length) => clustersFor(geometry, length))).toEqual([0, 1, 1, 2]);
  });

  it("follow the header", () => {
    expect(geometry).toMatchObject({
      clusterSize: 65_536,
      l2Entries: 8192,
      l2Coverage: 2 ** 29,
      subclusters: 1,
      subclusterSize: 65_536,
      refcountsPerBlock: 32_768,
      zeroFlag: true,
      externalData: false,
    });
    const extended = geometryOf({ version: 3, clusterBits: 14, refcountOrder: 0, incompatible: 16n | 4n });
    expect(extended).toMatchObject({
      l2Entries: 1024,
      l2Coverage: 2 ** 24,
      subclusterSize: 512,
      refcountsPerBlock: 131_072,
      zeroFlag: false,
      externalData: true,
    });
    expect(geometryOf({ version: 2, clusterBits: 9, refcountOrder: 6, incompatible: 0n })).toMatchObject({
      l2Entries: 64,
      refcountsPerBlock: 64,
      zeroFlag: false,
    });
  });
});

describe("the snapshot table", () => {
  const entry = (id: string, name: string, extra: Buffer): Buffer => {
    const fixed = Buffer.alloc(40);
    fixed.writeBigUInt64BE(0x5_0000n, 0);
    fixed.writeUInt32BE(2, 8);
    fixed.writeUInt16BE(id.length, 12);
    fixed.writeUInt16BE(name.length, 14);
    fixed.writeUInt32BE(1_700_000_000, 16);
    fixed.writeUInt32BE(5, 20);
    fixed.writeBigUInt64BE(2n ** 63n, 24);
    fixed.writeUInt32BE(77, 32);
    fixed.writeUInt32BE(extra.length, 36);
    return Buffer.concat([fixed, extra, Buffer.from(id + name)]);
  };
  const aligned = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  const extra24 = Buffer.from("0000000100000000000000004000000000000000000000ff", "hex");

  it("gives entries with and without extra data", () => {
    const first = aligned(entry("1", "before upgrade", Buffer.alloc(0)));
    const second = entry("22", "s", Buffer.concat([extra24, Buffer.alloc(8)]));
    const table = decodeSnapshotTable(Buffer.concat([first, second, Buffer.alloc(100)]), 2, 0);
    expect(table?.length).toBe(first.length + second.length);
    expect(table?.snapshots[0]).toMatchObject({
      id: "1",
      name: "before upgrade",
      l1Offset: 0x5_0000,
      l1Entries: 2,
      dateSeconds: 1_700_000_000,
      dateNanoseconds: 5,
      vmClockNanoseconds: 2n ** 63n,
      vmStateSize: 77,
      diskSize: undefined,
      icount: undefined,
    });
    expect(table?.snapshots[1]).toMatchObject({ id: "22", name: "s", vmStateSize: 2 ** 32, diskSize: 2 ** 30, icount: 255n });
  });

  it("is written with all extra data that is understood; text and what is not understood stay byte for byte", () => {
    const bare = aligned(entry("1", "before upgrade", Buffer.alloc(0)));
    const full = Buffer.concat([entry("7", "", Buffer.concat([extra24, Buffer.from("unknown")])), Buffer.from([0xff, 0x80])]);
    full.writeUInt16BE(2, 14);
    const table = decodeSnapshotTable(Buffer.concat([bare, full]), 2, 0);
    const written = Buffer.from(encodeSnapshotTable(table?.snapshots ?? [], 12_345));
    const firstLength = 40 + 24 + "1before upgrade".length;
    expect(written.readUInt32BE(36)).toBe(24);
    expect([written.readBigUInt64BE(40), written.readBigUInt64BE(48), written.readBigInt64BE(56)]).toEqual([77n, 12_345n, -1n]);
    expect(written.subarray(64, firstLength).toString()).toBe("1before upgrade");
    // The state is longer than the short field can tell: there it is none.
    full.writeUInt32BE(0, 32);
    expect(written.subarray(Math.ceil(firstLength / 8) * 8)).toEqual(full);
    expect(decodeSnapshotTable(written, 2, 0)?.length).toBe(written.length);
  });

  it("asks for more bytes where it is cut", () => {
    const bytes = entry("1", "name", extra24);
    for (let length = 0; length < bytes.length; length++) expect(decodeSnapshotTable(bytes.subarray(0, length), 1, 0)).toBeUndefined();
    expect(decodeSnapshotTable(bytes, 1, 0)?.length).toBe(bytes.length);
  });

  it("refuses extra data above the limit, with its place", () => {
    const bytes = Buffer.alloc(4096);
    bytes.writeUInt32BE(1025, 36);
    expect(() => decodeSnapshotTable(bytes, 1, 0x7_0000)).toThrow("snapshot 0 at offset 0x70000 has 1025 bytes of extra data");
  });
});
