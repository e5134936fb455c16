import {
  BlockGraph,
  memoryDriver,
  rawDriver,
  type BlockDriver,
  type BlockImage,
  type BlockNode,
  type DescribedNode,
  type RunStatus,
} from "@coblock/core";
import { describe, expect, it } from "vitest";
import { filterDrivers } from "./entries.ts";

const graph = (): BlockGraph => new BlockGraph({ drivers: [memoryDriver, rawDriver, ...filterDrivers] });

async function bytes(node: BlockNode, length = 16): Promise<string> {
  const into = new Uint8Array(length);
  await node.read(0, into);
  return Buffer.from(into).toString("latin1");
}

const memory = (text: string, nodeName?: string): object => ({
  driver: "memory",
  bytes: Buffer.from(text),
  ...(nodeName === undefined ? {} : { nodeName }),
});
const described = (options: object): DescribedNode => options as DescribedNode;

/** Reads answer a turn later what there was when they came. */
class SlowDisk implements BlockImage {
  readonly limits = { requestAlignment: 1 };
  readonly content: Buffer;
  /** Told of each read, from 1 on. */
  onRead: (reads: number) => void = () => {};
  #reads = 0;

  constructor(text: string) {
    this.content = Buffer.from(text);
  }

  get size(): number {
    return this.content.length;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    into.set(this.content.subarray(offset, offset + into.length));
    this.onRead(++this.#reads);
    await new Promise((resolve) => setImmediate(resolve));
  }

  write(offset: number, from: Uint8Array): void {
    this.content.set(from, offset);
  }

  status(_offset: number, length: number): RunStatus {
    return { kind: "data", length };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

describe("blkverify", () => {
  it("fails where the two differ, and tells the place", async () => {
    await using owner = graph();
    const node = await owner.open(described({ driver: "blkverify", raw: memory("aaaa"), test: memory("aaba") }));
    expect(await bytes(node, 2)).toBe("aa");
    await expect(bytes(node, 4)).rejects.toMatchObject({ code: "IO", offset: 2 });
    await node.write(0, Buffer.from("cccc"));
    expect(await bytes(node, 4)).toBe("cccc");
  });
});

describe("quorum", () => {
  const open = (owner: BlockGraph, texts: readonly string[], options: object): Promise<BlockNode> =>
    owner.open(described({ driver: "quorum", children: texts.map((text, index) => memory(text, `disk${index}`)), ...options }));

  it("believes most of its children, and mends the others where it is told to", async () => {
    await using owner = graph();
    const node = await open(owner, ["aaaa", "bbbb", "aaaa"], { voteThreshold: 2, rewriteCorrupted: true });
    expect(await bytes(node, 4)).toBe("aaaa");
    const mended = owner.node("disk1");
    expect(mended === undefined ? "" : await bytes(mended, 4)).toBe("aaaa");
  });

  it("mends nobody with what a write replaces meanwhile", async () => {
    const disks = ["aaaa", "bbbb", "aaaa"].map((text) => new SlowDisk(text));
    const slowDriver: BlockDriver<"memory"> = {
      name: "memory",
      kind: "protocol",
      optionNames: ["bytes"],
      open: async ({ bytes: index }) => disks[Number(index)] ?? new SlowDisk(""),
    };
    await using owner = new BlockGraph({ drivers: [{ ...slowDriver, load: async () => slowDriver }, ...filterDrivers] });
    const children = disks.map((_, index) => ({ driver: "memory", bytes: index }));
    const node = await owner.open(described({ driver: "quorum", children, voteThreshold: 2, rewriteCorrupted: true }));
    let written: Promise<void> | undefined;
    const [first] = disks;
    if (first !== undefined)
      first.onRead = (reads) => {
        if (reads === 2) written = node.write(0, Buffer.from("dddd"));
      };
    expect(await bytes(node, 4)).toBe("aaaa");
    expect(written).toBeDefined();
    await written;
    expect(disks.map(({ content }) => content.toString())).toEqual(["dddd", "dddd", "dddd"]);
  });

  it("fails where too few agree", async () => {
    await using owner = graph();
    await expect(bytes(await open(owner, ["aaaa", "bbbb", "cccc"], { voteThreshold: 2 }), 4)).rejects.toMatchObject({ code: "IO" });
  });

  it("reads the first one that can with fifo", async () => {
    await using owner = graph();
    expect(await bytes(await open(owner, ["aaaa", "bbbb"], { voteThreshold: 1, readPattern: "fifo" }), 4)).toBe("aaaa");
  });

  it.each([
    [{ voteThreshold: 3 }, "threshold may not exceed children count"],
    [{ voteThreshold: 0 }, "vote-threshold"],
    [{ voteThreshold: 1, blkverify: true }, "blkverify=on can only be set"],
    [{ voteThreshold: 1, readPattern: "x" }, "Please set read-pattern"],
  ])("%j is refused", async (options, message) => {
    await using owner = graph();
    await expect(open(owner, ["aaaa", "bbbb"], options)).rejects.toThrow(message);
  });
});

describe("preallocate", () => {
  it("takes space in advance, shows none of it, and gives it back", async () => {
    await using owner = graph();
    const file = await owner.open(described({ driver: "memory", nodeName: "file" }));
    const node = await owner.open(
      described({ driver: "raw", file: { driver: "preallocate", file, preallocSize: 4096, preallocAlign: 4096 } }),
    );
    await node.resize(512);
    const child = node.children.get("file");
    await child?.write(512, Buffer.alloc(100));
    expect([node.size, file.size]).toEqual([612, 8192]);
    await node.resize(700);
    expect([node.size, file.size]).toEqual([700, 700]);
    await child?.write(700, Buffer.alloc(1));
    await node.resize(612, { shrink: true });
    await node[Symbol.asyncDispose]();
    expect(file.size).toBe(612);
  });
});

describe("null-co", () => {
  it("leaves buffers as they are unless it is told to read zeros", async () => {
    await using owner = graph();
    const into = new Uint8Array(4).fill(7);
    await (await owner.open(described({ driver: "null-co", size: 4 }))).read(0, into);
    expect([...into]).toEqual([7, 7, 7, 7]);
    await (await owner.open("null-co://", { driver: "null-co" })).read(0, into);
    await (await owner.open(described({ driver: "null-aio", size: 4, readZeroes: true, latencyNs: 1000 }))).read(0, into);
    expect([...into]).toEqual([0, 0, 0, 0]);
  });
});
