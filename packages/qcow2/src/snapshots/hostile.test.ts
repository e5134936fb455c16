/** Snapshots that a damaged or hostile image lists: each is refused with one clear line, before anything is changed. */

import { readFileSync, writeFileSync } from "node:fs";
import type { BlockNode } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { hostGraph, places, qemuCreate, qemuImg, qemuIo, TemporaryDirectory } from "../test/images.ts";

const CLUSTER = 65_536;

/** An image with one snapshot; where things lie that are about to be damaged. */
function makeImage(folder: TemporaryDirectory): {
  readonly file: string;
  readonly sound: Buffer;
  readonly entry: number;
  readonly l1: number;
} {
  const file = qemuCreate(folder.file("a.qcow2"), 2 ** 20);
  qemuIo(file, "write -P 1 0 128k");
  qemuImg("snapshot", "-c", "one", file);
  const sound = readFileSync(file);
  const entry = Number(sound.readBigUInt64BE(64));
  return { file, sound, entry, l1: Number(sound.readBigUInt64BE(entry)) };
}

interface Damage {
  readonly what: string;
  readonly change: (image: Buffer, at: { readonly entry: number; readonly l1: number }) => void;
  readonly message: RegExp;
  /** What the snapshot shows cannot be read either. */
  readonly unreadable?: boolean;
  /** Taking it out of the list needs less than reading it. */
  readonly deletable?: boolean;
}

const DAMAGES: readonly Damage[] = [
  {
    what: "an L1 table off the clusters",
    change: (image, { entry, l1 }) => image.writeBigUInt64BE(BigInt(l1 + 512), entry),
    message: /the L1 table of snapshot 1 \('one'\) at offset 0x\w+ is not aligned to clusters of 65536/,
    unreadable: true,
  },
  {
    what: "an L1 table past the end of the file",
    change: (image, { entry }) => image.writeBigUInt64BE(2n ** 40n, entry),
    message: /the L1 table of snapshot 1 at offset 0x10000000000 is 8 bytes long and ends past the end of the file/,
    unreadable: true,
  },
  {
    what: "an L1 table of 2^32 - 1 entries",
    change: (image, { entry }) => image.writeUInt32BE(0xffff_ffff, entry + 8),
    message: /has 4294967295 entries, more than 4194304/,
    unreadable: true,
  },
  {
    what: "an L1 table that is too short for its disk",
    change: (image, { entry }) => image.writeBigUInt64BE(2n ** 40n, entry + 48),
    message: /has 1 entries, a disk of 1099511627776 bytes needs 2048/,
    unreadable: true,
    deletable: true,
  },
  {
    what: "an L1 entry off the clusters",
    change: (image, { l1 }) => image.writeBigUInt64BE(0x5_0200n, l1),
    message: /L1 entry 0 is 0x50200, which is no place of an L2 table/,
  },
  {
    what: "an L2 table past the end of the file",
    change: (image, { l1 }) => image.writeBigUInt64BE(2n ** 40n, l1),
    message: /an L2 table at offset 0x10000000000 is \d+ bytes long and ends past the end of the file/,
  },
  {
    what: "an L2 table whose refcount is 0",
    change: (image, { l1 }) => {
      const l2 = Number(image.readBigUInt64BE(l1) % 2n ** 56n);
      image.writeUInt16BE(0, places(image).refcountBlock + (2 * l2) / CLUSTER);
    },
    message: /the cluster at offset 0x\w+ is in use, but its refcount is 0/,
  },
  {
    what: "an L2 entry with reserved bits",
    change: (image, { l1 }) => image.writeUInt8(0x3f, Number(image.readBigUInt64BE(l1) % 2n ** 56n)),
    message: /L2 entry 0 of L1 entry 0 at offset 0x\w+ is 0x3f\w+: reserved bits are set/,
  },
];

describe.each(DAMAGES)("$what", ({ change, message, unreadable, deletable }) => {
  const withDamaged = async (work: (disk: BlockNode, file: string) => Promise<void>): Promise<void> => {
    using folder = new TemporaryDirectory();
    const { file, sound, ...at } = makeImage(folder);
    change(sound, at);
    writeFileSync(file, sound);
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await work(disk, file);
    }
    expect(readFileSync(file).equals(sound)).toBe(true);
  };

  it("is neither applied nor deleted, and the image stays as it is", () =>
    withDamaged(async ({ snapshots }) => {
      expect(snapshots.list()).toHaveLength(1);
      await expect(snapshots.apply("one")).rejects.toThrow(message);
      if (deletable !== true) await expect(snapshots.delete("one")).rejects.toThrow(message);
    }));

  it("is not read", () =>
    withDamaged(async (_, file) => {
      await using graph = hostGraph();
      const open = (): Promise<BlockNode> => graph.open({ driver: "qcow2", file, snapshot: "one", readOnly: true, forceShare: true });
      if (unreadable === true) return await expect(open()).rejects.toThrow(/snapshot 1|L1 table/);
      await using disk = await open();
      const read = disk.read(0, new Uint8Array(512));
      // The refcounts are not looked at by who only reads.
      if (message.source.includes("refcount")) await read;
      else await expect(read).rejects.toThrow(message);
    }));
});
