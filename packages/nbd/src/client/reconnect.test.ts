import { afterAll, describe, expect, test } from "vitest";
import { NbdServer } from "../server/nbd-server.ts";
import { BlockGraph, memoryDriver, SystemClock, type BlockNode } from "@coblock/core";
import { COMMAND, COMMAND_FLAG, EXPORT_FLAG } from "../protocol/codes.ts";
import { decodeRequest, type RequestHeader } from "../protocol/request.ts";
import { writeSimpleReply } from "../protocol/reply.ts";
import { RawPeers, type RawServer } from "../test/raw-peer.ts";

const SIZE = 64 * 1024;
const FLAGS = EXPORT_FLAG.hasFlags + EXPORT_FLAG.flush + EXPORT_FLAG.forceUnitAccess + EXPORT_FLAG.writeZeroes;
const peers = new RawPeers();
afterAll(() => peers[Symbol.asyncDispose]());

/** A disk in a server that forgets, when it is killed, what it has not flushed. */
class ForgetfulDisk {
  readonly stable: Buffer = Buffer.alloc(SIZE);
  volatile: Buffer = Buffer.alloc(SIZE);
  readonly log: string[] = [];

  /** Serves until `isKilled` says so of a request: before it is done, or after it was done and before it is answered. */
  async serve(peer: RawServer, isKilled: (request: RequestHeader, isDone: boolean) => boolean): Promise<void> {
    await peer.handshake(
      [
        { kind: "export", size: SIZE, flags: FLAGS },
        { kind: "blockSize", minimum: 1, preferred: 4096, maximum: 2 ** 25 },
      ],
      false,
    );
    for (;;) {
      const bytes = await peer.read(28);
      if (bytes === undefined) return;
      const request = decodeRequest(bytes, false);
      if (request.command === COMMAND.disconnect) return;
      const payload = request.command === COMMAND.write ? await peer.read(request.length) : undefined;
      if (isKilled(request, false)) return this.#kill(peer);
      this.log.push(`${request.command} ${request.offset}`);
      if (payload !== undefined) payload.copy(this.volatile, request.offset);
      if (request.command === COMMAND.writeZeroes) this.volatile.fill(0, request.offset, request.offset + request.length);
      const isForced = (request.flags & COMMAND_FLAG.forceUnitAccess) !== 0;
      if (request.command === COMMAND.flush) this.volatile.copy(this.stable);
      else if (isForced) this.volatile.copy(this.stable, request.offset, request.offset, request.offset + request.length);
      if (isKilled(request, true)) return this.#kill(peer);
      const reply = Buffer.alloc(16);
      writeSimpleReply(reply, 0, request, 0);
      const { offset, length } = request;
      peer.send(reply, request.command === COMMAND.read ? Buffer.from(this.volatile.subarray(offset, offset + length)) : Buffer.alloc(0));
    }
  }

  #kill(peer: RawServer): void {
    this.volatile = Buffer.from(this.stable);
    peer.socket.destroy();
  }
}

async function open(
  disk: ForgetfulDisk,
  isKilled: (request: RequestHeader, isDone: boolean, count: number) => boolean,
  reconnectDelay: number,
): Promise<BlockNode> {
  const path = await peers.server((peer, count) => disk.serve(peer, (request, isDone) => isKilled(request, isDone, count)));
  return peers.graph.open({ driver: "nbd", path, reconnectDelay });
}

describe("with a delay (D13)", () => {
  test.each([
    ["before it is done", false],
    ["between its end and its answer", true],
  ])("a server that is killed at each request, %s, loses nothing and answers each once", async (_, atEnd) => {
    for (let victim = 0; victim < 20; victim++) {
      const disk = new ForgetfulDisk();
      let seen = 0;
      const node = await open(disk, (_request, isDone, count) => count === 0 && isDone === atEnd && seen++ === victim, 60);
      const expected = Buffer.alloc(SIZE);
      for (let step = 0; step < 8; step++) {
        await node.write(step * 512, Buffer.alloc(1024, step + 1), { forceUnitAccess: step === 2 || step === 6 });
        expected.fill(step + 1, step * 512, step * 512 + 1024);
        if (step === 3) await node.flush();
        if (step === 5) await node.writeZeroes(512, 512);
        if (step === 5) expected.fill(0, 512, 1024);
        const found = Buffer.alloc(SIZE);
        await node.read(0, found);
        expect(found.equals(expected), `victim ${victim}, step ${step}`).toBe(true);
      }
      await node.flush();
      expect(disk.stable.equals(expected), `victim ${victim}`).toBe(true);
      await node[Symbol.asyncDispose]();
    }
  });

  test("many requests in flight are each answered once, through several ends of the server", async () => {
    const disk = new ForgetfulDisk();
    let seen = 0;
    const node = await open(disk, () => ++seen % 17 === 0 && seen < 200, 60);
    await Promise.all(Array.from({ length: 64 }, (_, index) => node.write(index * 1024, Buffer.alloc(1024, index + 1))));
    await node.flush();
    for (let index = 0; index < 64; index++)
      expect(disk.stable.subarray(index * 1024, index * 1024 + 1024).equals(Buffer.alloc(1024, index + 1))).toBe(true);
    await node[Symbol.asyncDispose]();
  });

  test("another disk at the same place is not taken for the old one", async () => {
    const path = await peers.server(async (peer, count) => {
      await peer.handshake([{ kind: "export", size: SIZE * (count + 1), flags: FLAGS }], false);
      if (count > 0) await peer.gone();
    });
    const node = await peers.graph.open({ driver: "nbd", path, reconnectDelay: 0.3 });
    await expect(node.read(0, Buffer.alloc(512))).rejects.toMatchObject({
      code: "IO",
      message: expect.stringMatching(/another disk|lost the connection/) as unknown,
    });
    await node[Symbol.asyncDispose]();
  });

  test("when the delay is over and answered writes are not stable, the node fails for good", async () => {
    const disk = new ForgetfulDisk();
    const path = await peers.server((peer, count) =>
      count === 0 ? disk.serve(peer, ({ command }) => command === COMMAND.read) : Promise.resolve(),
    );
    const node = await peers.graph.open({ driver: "nbd", path, reconnectDelay: 0.2 });
    await node.write(0, Buffer.alloc(512, 1));
    await expect(node.read(0, Buffer.alloc(512))).rejects.toThrow(/lost/);
    await expect(node.flush()).rejects.toThrow(/lost/);
    await expect(node[Symbol.asyncDispose]()).rejects.toThrow(/lost/);
  });
});

describe("without a delay", () => {
  test("requests in flight fail, and later ones find the server again", async () => {
    const disk = new ForgetfulDisk();
    const node = await open(disk, (_request, _isDone, count) => count === 0, 0);
    await expect(node.read(0, Buffer.alloc(512))).rejects.toMatchObject({ code: "IO" });
    const clock = new SystemClock();
    const again = async (): Promise<void> => {
      for (;;) {
        const found = await node.read(0, Buffer.alloc(512)).then(
          () => true,
          () => false,
        );
        if (found) return;
        await clock.yield();
      }
    };
    await again();
    await node[Symbol.asyncDispose]();
  });

  test("after writes that were not flushed the node fails for good, in one line", async () => {
    const disk = new ForgetfulDisk();
    const node = await open(disk, ({ command }, _isDone, count) => count === 0 && command === COMMAND.read, 0);
    await node.write(0, Buffer.alloc(512, 1));
    await expect(node.read(0, Buffer.alloc(512))).rejects.toMatchObject({ code: "IO" });
    await expect(node.read(0, Buffer.alloc(512))).rejects.toThrow(/may have lost what was written and not flushed/);
    await expect(node[Symbol.asyncDispose]()).rejects.toThrow(/may have lost/);
  });
});

test("extended headers between our client and our server: everything, beyond 4 GiB too", async () => {
  await using graph = new BlockGraph({ drivers: [memoryDriver] });
  const disk = await graph.open({ driver: "memory", size: 2 ** 40 });
  const path = peers.path();
  await using server = await NbdServer.start({ listen: { path }, exports: [{ name: "é", node: disk, writable: true }] });
  const node = await peers.graph.open({ driver: "nbd", filename: server.uri("é"), connections: 3 });
  expect(node.requests.image.inspect?.()).toMatchObject({ style: "extended", connections: 3 });
  await node.write(2 ** 39 + 5, Buffer.from("far away"), { forceUnitAccess: true });
  await node.writeZeroes(0, 2 ** 33);
  await node.discard(2 ** 34, 2 ** 33);
  const found = Buffer.alloc(8);
  await node.read(2 ** 39 + 5, found);
  expect(found.toString()).toBe("far away");
  const kinds = [];
  for await (const { kind, length } of node.extents()) kinds.push(`${kind} ${length}`);
  expect(kinds).toEqual(["zero 549755813888", "data 65536", "zero 549755748352"]);
  await node.flush();
  await node[Symbol.asyncDispose]();
});
