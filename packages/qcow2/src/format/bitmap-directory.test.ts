import { describe, expect, it } from "vitest";
import { decodeBitmapDirectory, encodeBitmapDirectory } from "./bitmap-directory.ts";
import { decodeBitmapTable, encodeBitmapTable } from "./bitmap-table.ts";

const PLACE = { count: 1, offset: 0, clusterSize: 65_536 };

function entry(change: (bytes: Buffer) => void = () => {}, name = "bitmap", extra = 0): Buffer {
  const bytes = Buffer.alloc(Math.ceil((24 + extra + name.length) / 8) * 8);
  bytes.writeBigUInt64BE(0x6_0000n, 0);
  bytes.writeUInt32BE(1, 8);
  bytes.writeUInt32BE(2, 12);
  bytes[16] = 1;
  bytes[17] = 16;
  bytes.writeUInt16BE(name.length, 18);
  bytes.writeUInt32BE(extra, 20);
  bytes.write(name, 24 + extra);
  change(bytes);
  return bytes;
}

describe("the bitmap directory", () => {
  it("gives names, flags and places, and is written as it was", () => {
    const second = entry((bytes) => bytes.writeUInt32BE(1, 12), "b2");
    const third = entry((bytes) => bytes.writeUInt32BE(6, 12), "with extra data", 5);
    third[24] = 77;
    const directory = Buffer.concat([entry(), second, third]);
    const bitmaps = decodeBitmapDirectory(directory, { ...PLACE, count: 3 });
    expect(bitmaps[0]).toMatchObject({ name: "bitmap", flags: 2, granularity: 65_536, tableOffset: 0x6_0000, tableEntries: 1 });
    expect(bitmaps[1]).toMatchObject({ name: "b2", flags: 1 });
    expect(bitmaps[2]).toMatchObject({ name: "with extra data", flags: 6 });
    const encoded = encodeBitmapDirectory(bitmaps);
    expect(directory.equals(encoded.bytes)).toBe(true);
    expect(encoded.flagsAt.map((at) => directory.readUInt32BE(at))).toEqual([2, 1, 6]);
  });

  const broken: [what: string, bytes: Buffer, count: number, message: string][] = [
    ["that is cut", entry().subarray(0, 24), 1, "runs out"],
    ["with fewer entries than counted", entry(), 2, "bitmap 1 at offset 0x20 runs out"],
    ["with more bytes than entries", Buffer.concat([entry(), Buffer.alloc(8)]), 1, "its 1 entries take 32"],
    ["with unknown flags", entry((bytes) => bytes.writeUInt32BE(8, 12)), 1, "unknown flags"],
    ["with an unknown type", entry((bytes) => bytes.writeUInt8(2, 16)), 1, "unknown type 2"],
    ["with extra data that is needed", entry(() => {}, "bitmap", 8), 1, "8 bytes of unknown extra data"],
    ["with extra data past the end", entry((bytes) => bytes.writeUInt32BE(0xffff_fff0, 20)), 1, "runs out"],
    ["with a tiny granularity", entry((bytes) => bytes.writeUInt8(8, 17)), 1, "2^8"],
    ["with a granularity past 2^31", entry((bytes) => bytes.writeUInt8(32, 17)), 1, "2^32"],
    ["with no table", entry((bytes) => bytes.writeUInt32BE(0, 8)), 1, "0 entries"],
    ["with a table past the limit", entry((bytes) => bytes.writeUInt32BE(0x800_0001, 8)), 1, "134217729 entries"],
    ["with too many bits", entry((bytes) => bytes.writeUInt32BE(8193, 8)), 1, "536936448 bytes of bits"],
    ["with its table nowhere", entry((bytes) => bytes.writeBigUInt64BE(0n, 0)), 1, "no place of a table"],
    ["with its table beside a cluster", entry((bytes) => bytes.writeBigUInt64BE(0x6_0200n, 0)), 1, "no place of a table"],
    ["with its table past 8 PiB", entry((bytes) => bytes.writeBigUInt64BE(2n ** 60n, 0)), 1, "table offset"],
    ["with no name", entry((bytes) => bytes.writeUInt32BE(0x0110_0000, 16)).subarray(0, 24), 1, "name of 0 bytes"],
    ["with a long name", entry(() => {}, "n".repeat(1024)), 1, "name of 1024 bytes"],
    ["with the name of another", Buffer.concat([entry(), entry()]), 2, "has the name of another"],
  ];
  it.each(broken)("refuses one %s", (_what, bytes, count, message) => {
    expect(() => decodeBitmapDirectory(bytes, { ...PLACE, count })).toThrow(message);
  });
});

describe("the table of a bitmap", () => {
  it("is written as it was read", () => {
    const clusters = ["zeros", "ones", 0x1_0000, 2 ** 52, "zeros"] as const;
    expect(decodeBitmapTable(encodeBitmapTable(clusters), "b", 0, 65_536)).toEqual(clusters);
  });

  it.each([0x1_0001n, 0x1_0200n, 2n, 2n ** 56n, 2n ** 63n, 2n ** 55n])("refuses the entry %i", (entryValue) => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64BE(entryValue, 8);
    expect(() => decodeBitmapTable(bytes, "nightly", 0x3_0000, 65_536)).toThrow(
      /entry 1 of the table of bitmap 'nightly' at offset 0x30000 is .* no place of bits/,
    );
  });
});
