/** Our client against real servers: bytes, holes, errors and a server that goes away and comes back. */

import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyDisk, type BlockStatus } from "@coblock/core";
import { Peers } from "./peers.ts";

const peers = new Peers();
const MIB = 1024 * 1024;

beforeAll(() => peers.makeChain());
afterAll(() => peers[Symbol.asyncDispose]());

async function extentsOf(name: string): Promise<BlockStatus[]> {
  await using node = await peers.graph.open({ driver: "nbd", filename: name }, { readOnly: true });
  const found: BlockStatus[] = [];
  for await (const extent of node.extents()) found.push(extent);
  return found;
}

describe("qemu-nbd", () => {
  it("serves a chain: bytes, and holes as its map has them", async () => {
    const server = await peers.serve(
      "qemu-nbd",
      ["-r", "-t", "-e", "0", "-k", peers.path("q.sock"), "-x", "a b", "-f", "qcow2", peers.path("top.qcow2")],
      "q.sock",
    );
    const uri = peers.socketUri("q.sock", "a%20b");
    await using node = await peers.graph.open({ driver: "nbd", filename: uri }, { readOnly: true });
    const bytes = Buffer.alloc(node.size);
    await node.read(0, bytes);
    expect(bytes.equals(readFileSync(peers.path("top.raw")))).toBe(true);
    const theirs = JSON.parse(await peers.succeed("qemu-img", ["map", "--output=json", uri])) as {
      start: number;
      length: number;
      data: boolean;
    }[];
    const ours = (await extentsOf(uri)).map(({ offset, length, kind }) => ({ start: offset, length, data: kind === "data" }));
    expect(ours).toEqual(theirs.map(({ start, length, data }) => ({ start, length, data })));
    await expect(peers.graph.open({ driver: "nbd", filename: uri })).rejects.toThrow(/is read-only/);
    await expect(peers.graph.open({ driver: "nbd", filename: peers.socketUri("q.sock", "none") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await node[Symbol.asyncDispose]();
    await peers.end(server);
  });

  it("takes writes, zeros, discards and flushes", async () => {
    writeFileSync(peers.path("w.raw"), Buffer.alloc(8 * MIB, 9));
    const server = await peers.serve(
      "qemu-nbd",
      ["-t", "--discard=unmap", "-k", peers.path("w.sock"), "-f", "raw", peers.path("w.raw")],
      "w.sock",
    );
    await using node = await peers.graph.open({ driver: "nbd", server: { type: "unix", path: peers.path("w.sock") } });
    await Promise.all(Array.from({ length: 64 }, (_, index) => node.write(index * 4096 + 512, Buffer.alloc(1536, index + 1))));
    await node.write(4 * MIB, Buffer.alloc(MIB, 3), { forceUnitAccess: true });
    await node.writeZeroes(5 * MIB, MIB + 100);
    await node.discard(7 * MIB, MIB);
    await node.flush();
    const expected = Buffer.alloc(8 * MIB, 9);
    for (let index = 0; index < 64; index++) expected.fill(index + 1, index * 4096 + 512, index * 4096 + 2048);
    expected
      .fill(3, 4 * MIB, 5 * MIB)
      .fill(0, 5 * MIB, 6 * MIB + 100)
      .fill(0, 7 * MIB, 8 * MIB);
    const found = Buffer.alloc(8 * MIB);
    await node.read(0, found);
    expect(found.equals(expected)).toBe(true);
    await node[Symbol.asyncDispose]();
    await peers.end(server);
    expect(readFileSync(peers.path("w.raw")).equals(expected)).toBe(true);
  });
});

describe("nbdkit", () => {
  it("with delayed replies: many requests in flight over several connections, the last of which overtake the first", async () => {
    const words = [
      "-f",
      "-U",
      peers.path("k.sock"),
      "pattern",
      "64M",
      "--filter=delay",
      "rdelay=1ms",
      "--filter=noparallel",
      "serialize=requests",
    ];
    const server = await peers.serve("nbdkit", words, "k.sock");
    await using node = await peers.graph.open({ driver: "nbd", path: peers.path("k.sock"), connections: 4 }, { readOnly: true });
    const buffers = Array.from({ length: 64 }, () => Buffer.alloc(4096));
    await Promise.all(buffers.map((buffer, index) => node.read(index * 65_536, buffer)));
    for (const [index, buffer] of buffers.entries())
      for (let at = 0; at < buffer.length; at += 8) expect(buffer.readBigUInt64BE(at)).toBe(BigInt(index * 65_536 + at));
    await node[Symbol.asyncDispose]();
    await peers.end(server);
  });

  it("with errors: each failed request is answered with its error, and no copy that met one ends well", async () => {
    const server = await peers.serve(
      "nbdkit",
      ["-f", "-U", peers.path("e.sock"), "memory", "8M", "--filter=error", "error-pread=EIO", "error-pread-rate=30%"],
      "e.sock",
    );
    await using node = await peers.graph.open({ driver: "nbd", filename: peers.socketUri("e.sock") });
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => node.read(0, Buffer.alloc(512))));
    const failed = outcomes.filter(({ status }) => status === "rejected");
    expect(failed.length).toBeGreaterThan(5);
    expect(failed.length).toBeLessThan(80);
    for (const outcome of failed)
      expect(outcome).toMatchObject({ reason: { code: "IO", message: expect.stringMatching(/Input\/output error/) as unknown } });
    await node.write(0, Buffer.alloc(8 * MIB, 1));
    await using target = await peers.graph.open({ driver: "memory", size: 8 * MIB });
    const errors: unknown[] = [];
    for (let attempt = 0; attempt < 8; attempt++) await copyDisk({ source: node, target }).catch((error: unknown) => errors.push(error));
    expect(errors.length).toBeGreaterThan(0);
    await node[Symbol.asyncDispose]();
    await peers.end(server);
  });

  it.each([
    ["the handshake of before 2011", ["-o"]],
    ["names of exports alone", ["--mask-handshake=0", "-e", "x"]],
    ["simple replies alone", ["--no-sr"]],
  ])("with %s", async (_, words) => {
    const socket = `${words[0]}.sock`;
    const server = await peers.serve("nbdkit", ["-f", ...words, "-U", peers.path(socket), "pattern", "1M"], socket);
    const options = { driver: "nbd", path: peers.path(socket), export: words.includes("x") ? "x" : "" } as const;
    await using node = await peers.graph.open(options, { readOnly: true });
    const bytes = Buffer.alloc(node.size);
    await node.read(0, bytes);
    expect(bytes.length).toBe(MIB);
    for (let at = 0; at < MIB; at += 8) if (bytes.readBigUInt64BE(at) !== BigInt(at)) expect.fail(`wrong bytes at ${at}`);
    await node[Symbol.asyncDispose]();
    await peers.end(server);
  });

  it("a terabyte with few data is walked by its extents", async () => {
    const server = await peers.serve("nbdkit", ["-f", "-U", peers.path("s.sock"), "data", "1 @0x8000000000 2", "size=1T"], "s.sock");
    const extents = await extentsOf(peers.socketUri("s.sock"));
    const data = extents.filter(({ kind }) => kind === "data").reduce((sum, { length }) => sum + length, 0);
    expect(data).toBeLessThanOrEqual(2 * 65_536);
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(2 ** 40);
    await peers.end(server);
  });
});
