import { BlockError } from "@coblock/core";
import { describe, expect, test } from "vitest";

import { BACKING_FILE, NEED_CHECK, parseHeader, type QedHeader, sizeProblem, writeHeader } from "./header.ts";

const plain: QedHeader = {
  clusterSize: 65536,
  tableClusters: 4,
  headerClusters: 1,
  features: 0n,
  compatFeatures: 0n,
  autoclearFeatures: 0n,
  l1Offset: 65536,
  imageSize: 2 ** 40,
  backingNameOffset: 0,
  backingNameLength: 0,
};
const FILE_SIZE = 5 * 65536;

function bytesOf(header: Partial<QedHeader>): Uint8Array {
  const bytes = new Uint8Array(64);
  writeHeader(bytes, { ...plain, ...header });
  return bytes;
}

/** A valid header but for 8 bytes at `offset`. */
function withWord(offset: number, value: bigint): Uint8Array {
  const bytes = bytesOf({});
  new DataView(bytes.buffer).setBigUint64(offset, value, true);
  return bytes;
}

function refusal(bytes: Uint8Array, fileSize: number = FILE_SIZE): BlockError {
  try {
    parseHeader(bytes, "disk.qed", fileSize);
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
  throw new Error("the header was accepted");
}

test("fields come back as they were written, unknown compatible bits too", () => {
  const header = {
    ...plain,
    features: BACKING_FILE | NEED_CHECK,
    compatFeatures: 2n ** 63n,
    autoclearFeatures: 5n,
    backingNameOffset: 64,
    backingNameLength: 100,
  };
  expect(parseHeader(bytesOf(header), "disk.qed", FILE_SIZE)).toEqual(header);
});

test("the bytes stand where the specification has them", () => {
  const hex = Buffer.from(
    bytesOf({ features: 7n, compatFeatures: 0x11n, autoclearFeatures: 0x22n, backingNameOffset: 64, backingNameLength: 8 }),
  ).toString("hex");
  expect(hex).toBe(
    "51454400" +
      "00000100" +
      "04000000" +
      "01000000" +
      "0700000000000000" +
      "1100000000000000" +
      "2200000000000000" +
      "0000010000000000" +
      "0000000000010000" +
      "40000000" +
      "08000000",
  );
});

describe("refuses", () => {
  test.each([
    ["a header that the file ends in", bytesOf({}).subarray(0, 63), "within the header of 64"],
    ["an empty file", new Uint8Array(0), "after 0 bytes"],
    ["another magic number", withWord(0, 0x0001_0000_0144_4551n), "magic"],
    ["clusters of 2 KiB", bytesOf({ clusterSize: 2048 }), "not 2048"],
    ["clusters of 128 MiB", bytesOf({ clusterSize: 2 ** 27 }), "not 134217728"],
    ["clusters of 0", bytesOf({ clusterSize: 0 }), "not 0"],
    ["clusters of 5000", bytesOf({ clusterSize: 5000 }), "not 5000"],
    ["tables of 0 clusters", bytesOf({ tableClusters: 0 }), "not 0"],
    ["tables of 3 clusters", bytesOf({ tableClusters: 3 }), "not 3"],
    ["tables of 32 clusters", bytesOf({ tableClusters: 32 }), "not 32"],
    ["a header of 0 clusters", bytesOf({ headerClusters: 0 }), "header size 0"],
    ["a header of 4 GiB", bytesOf({ headerClusters: 65536 }), "header size 65536"],
    ["an unaligned L1 table", bytesOf({ l1Offset: 65536 + 4096 }), "0x11000"],
    ["an L1 table in the header", bytesOf({ l1Offset: 0 }), "0x0"],
    ["an L1 table at the end of all numbers", withWord(40, 0xffff_ffff_ffff_0000n), "0xffffffffffff0000"],
    ["an L1 table that the file ends in", bytesOf({ l1Offset: 131072 }), "0x20000"],
    ["an image size that is no multiple of 512", bytesOf({ imageSize: 513 }), "not 513"],
    ["an image larger than its tables", bytesOf({ imageSize: 2 ** 46 + 512 }), "at most 70368744177664"],
    [
      "a backing name that leaves the header",
      bytesOf({ features: BACKING_FILE, backingNameOffset: 65000, backingNameLength: 537 }),
      "leaves the header",
    ],
    [
      "a backing name above 1023 bytes",
      bytesOf({ features: BACKING_FILE, backingNameOffset: 64, backingNameLength: 1024 }),
      "exceeds 1023",
    ],
  ])("%s", (_what, bytes, words) => {
    const error = refusal(bytes);
    expect(error.code).toBe("CORRUPT_IMAGE");
    expect(error.message).toContain("disk.qed");
    expect(error.message).toContain(words);
  });

  test("unknown features by their bits", () => {
    const error = refusal(bytesOf({ features: NEED_CHECK | 8n | (1n << 63n) }));
    expect(error.code).toBe("UNSUPPORTED_FEATURE");
    expect(error.message).toContain("unknown feature bits 0x8000000000000008");
  });

  test("every single unknown feature bit", () => {
    for (let bit = 3; bit < 64; bit++)
      expect(refusal(bytesOf({ features: 1n << BigInt(bit) })).message).toContain(`bits 0x${(1n << BigInt(bit)).toString(16)}`);
  });

  test("sizes that are legal but beyond exact numbers", () => {
    const bytes = bytesOf({ clusterSize: 2 ** 26, tableClusters: 16, l1Offset: 2 ** 26 });
    new DataView(bytes.buffer).setBigUint64(48, 2n ** 62n, true);
    const error = refusal(bytes, 2 ** 31);
    expect(error.code).toBe("UNSUPPORTED_FEATURE");
    expect(error.message).toContain("8 PiB");
  });
});

test("accepts tables of one cluster, the largest header, an empty image, and name fields that no feature speaks of", () => {
  expect(parseHeader(bytesOf({ tableClusters: 1 }), "", FILE_SIZE).tableClusters).toBe(1);
  expect(parseHeader(bytesOf({ headerClusters: 65535, l1Offset: 65535 * 65536 }), "", 65540 * 65536).headerClusters).toBe(65535);
  expect(parseHeader(bytesOf({ imageSize: 0 }), "", FILE_SIZE).imageSize).toBe(0);
  expect(parseHeader(bytesOf({ backingNameOffset: 2 ** 32 - 1, backingNameLength: 2 ** 32 - 1 }), "", FILE_SIZE).backingNameLength).toBe(
    2 ** 32 - 1,
  );
});

test("the most that tables map is exact, also where 64 bits are too few", () => {
  expect(sizeProblem(4096, 1, 2 ** 30)).toBeUndefined();
  expect(sizeProblem(4096, 1, 2 ** 30 + 512)).toContain("1073741824");
  expect(sizeProblem(65536, 4, 2 ** 46)).toBeUndefined();
  expect(sizeProblem(2 ** 26, 16, 2 ** 53 - 512)).toBeUndefined();
});
