import { describe, expect, it } from "vitest";
import {
  compressedEntryFor,
  compressedPlaceOf,
  entryFor,
  entryText,
  hasReservedL1Bits,
  hasReservedL2Bits,
  hasReservedRefcountTableBits,
  isClusterAligned,
  isCompressed,
  isCompressedOffsetExact,
  isCopied,
  isOffsetExact,
  l2KindOf,
  maxCompressedOffset,
  offsetOf,
} from "./entries.ts";

const BITS = Array.from({ length: 64 }, (_, bit) => bit);
const CLUSTER_BITS = Array.from({ length: 13 }, (_, index) => index + 9);

function halves(value: bigint): [high: number, low: number] {
  return [Number(value >> 32n), Number(value & 0xffff_ffffn)];
}

describe.each(BITS)("bit %i of an entry alone", (bit) => {
  const [high, low] = halves(1n << BigInt(bit));

  it("is offset, or not", () => {
    const isOffset = bit >= 9 && bit <= 55;
    expect(offsetOf(high, low)).toBe(isOffset ? 2 ** bit : 0);
    expect(isOffsetExact(high)).toBe(bit < 53 || bit > 55);
  });

  it("is reserved in an L1 entry, or not", () => {
    expect(hasReservedL1Bits(high, low)).toBe(bit <= 8 || (bit >= 56 && bit <= 62));
    expect(isCopied(high)).toBe(bit === 63);
  });

  it("is reserved in a refcount table entry, or not", () => {
    expect(hasReservedRefcountTableBits(high, low)).toBe(bit <= 8 || bit >= 56);
  });

  it("is reserved in an L2 entry, or not", () => {
    expect(hasReservedL2Bits(high, low, true)).toBe((bit >= 1 && bit <= 8) || (bit >= 56 && bit <= 61));
    expect(hasReservedL2Bits(high, low, false)).toBe(bit <= 8 || (bit >= 56 && bit <= 61));
  });

  it("makes the right kind of L2 entry", () => {
    const placed = bit >= 9 && bit <= 55;
    const kind = bit === 62 ? "compressed" : placed ? "data" : "unallocated";
    expect(l2KindOf(high, low, false, false)).toBe(kind);
    expect(l2KindOf(high, low, true, false)).toBe(bit === 0 ? "zero" : kind);
    expect(l2KindOf(high, low, true, true)).toBe(bit === 0 ? "zero" : bit === 63 ? "data" : kind);
    expect(isCompressed(high)).toBe(bit === 62);
  });

  it("reads as itself in messages", () => {
    expect(entryText(high, low)).toBe(`0x${(1n << BigInt(bit)).toString(16)}`);
  });
});

describe("plain entries", () => {
  it("are aligned where no bit of the offset is below the cluster size; the bits below 9 are flags", () => {
    for (const clusterBits of CLUSTER_BITS) {
      for (let bit = 0; bit < 32; bit++) expect(isClusterAligned(2 ** bit, 2 ** clusterBits)).toBe(bit < 9 || bit >= clusterBits);
    }
  });

  it("tells reserved space from data and zeros", () => {
    const [high, low] = halves(0x8000_0000_0005_0001n);
    expect(l2KindOf(high, low, true, false)).toBe("reserved");
    expect(l2KindOf(high, low, false, false)).toBe("data");
  });

  it.each([512, 2 ** 31, 2 ** 32, 2 ** 32 + 512, 2 ** 52 + 2 ** 31 + 512])("keeps offset %i", (offset) => {
    for (const copied of [true, false]) {
      const { high, low } = entryFor(offset, copied);
      expect(offsetOf(high, low)).toBe(offset);
      expect(isCopied(high)).toBe(copied);
      expect(BigInt(high) * 2n ** 32n + BigInt(low)).toBe(BigInt(offset) + (copied ? 2n ** 63n : 0n));
    }
  });
});

describe.each(CLUSTER_BITS)("compressed entries, clusters of 2^%i bytes", (clusterBits) => {
  const offsetBits = 70 - clusterBits;
  const sectorBits = clusterBits - 8;

  it("takes each bit below 53 as offset", () => {
    for (const bit of BITS.filter((candidate) => candidate < offsetBits && candidate < 53)) {
      const [high, low] = halves((1n << 62n) | (1n << BigInt(bit)));
      expect(compressedPlaceOf(high, low, clusterBits)).toEqual({ offset: 2 ** bit, length: bit < 9 ? 512 - 2 ** bit : 512 });
      expect(isCompressedOffsetExact(high, clusterBits)).toBe(true);
    }
  });

  it("refuses offset bits from 53 on", () => {
    for (const bit of BITS.filter((candidate) => candidate >= 53 && candidate < offsetBits)) {
      const [high] = halves((1n << 62n) | (1n << BigInt(bit)));
      expect(isCompressedOffsetExact(high, clusterBits)).toBe(false);
    }
  });

  it("takes the bits above as further sectors", () => {
    for (let bit = 0; bit < sectorBits; bit++) {
      const [high, low] = halves((1n << 62n) | (1n << BigInt(offsetBits + bit)));
      expect(compressedPlaceOf(high, low, clusterBits)).toEqual({ offset: 0, length: (2 ** bit + 1) * 512 });
    }
  });

  it("writes what it reads", () => {
    const length = 2 ** clusterBits - 1;
    for (const offset of [1, 511, 512, 2 ** 31 + 3, 2 ** 32 - 1, maxCompressedOffset(clusterBits) - length - 1]) {
      const { high, low } = compressedEntryFor(offset, length, clusterBits);
      const place = compressedPlaceOf(high, low, clusterBits);
      expect(place.offset).toBe(offset);
      expect((place.offset + place.length) % 512).toBe(0);
      expect(place.length - length).toBeGreaterThanOrEqual(0);
      expect(place.length - length).toBeLessThan(512);
      expect(isCompressed(high) && !isCopied(high)).toBe(true);
    }
  });
});

it("compressed space of 2 MiB clusters ends at 512 TiB", () => {
  expect(maxCompressedOffset(21)).toBe(2 ** 49);
  expect(maxCompressedOffset(16)).toBe(Number.MAX_SAFE_INTEGER);
});
