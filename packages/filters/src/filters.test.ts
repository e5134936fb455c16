import { BlockGraph, memoryDriver, rawDriver, type BlockNode, type DescribedNode } from "@coblock/core";
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
