import { BlockGraph, memoryDriver } from "@coblock/core";
import { afterAll, describe, expect, test } from "vitest";
import { ALLOCATION, CHUNK, CHUNK_DONE, COMMAND, COMMAND_FLAG, EXPORT_FLAG, OPTION } from "./protocol/codes.ts";
import { decodeBlockStatus, encodeBlockStatus } from "./protocol/chunk.ts";
import { encodeInfoRequest } from "./protocol/export-info.ts";
import { encodeMetaContextRequest } from "./protocol/meta-context.ts";
import { decodeReply, writeChunkHeader } from "./protocol/reply.ts";
import { decodeRequest, type RequestHeader } from "./protocol/request.ts";
import { NbdServer } from "./server/nbd-server.ts";
import { RawPeers } from "./test/raw-peer.ts";

const GIB = 2 ** 30;
const SIZE = 9 * GIB;
const LONGEST = 2 ** 32 - 1;
const peers = new RawPeers();
afterAll(() => peers[Symbol.asyncDispose]());

describe("with compact headers, around 4 GiB (D11)", () => {
  test("our server tells, zeroes and trims what fits into 32 bits, to the last byte", async () => {
    await using graph = new BlockGraph({ drivers: [memoryDriver] });
    const node = await graph.open({ driver: "memory", size: SIZE });
    await node.write(5 * GIB, Buffer.alloc(65_536, 1));
    const path = peers.path();
    await using _server = await NbdServer.start({ listen: { path }, exports: [{ name: "", node, writable: true }] });
    const client = await (await peers.client(path)).greet();
    await client.ask(OPTION.structuredReply);
    await client.ask(OPTION.setMetaContext, encodeMetaContextRequest({ exportName: "", queries: ["base:allocation"] }));
    await client.ask(OPTION.go, encodeInfoRequest({ name: "", wanted: [] }));
    const status = async (request: Partial<RequestHeader>): Promise<readonly (readonly number[])[]> => {
      client.request({ command: COMMAND.blockStatus, ...request });
      const header = decodeReply((await client.read(20)) ?? Buffer.alloc(0));
      const payload = (header.kind === "chunk" && (await client.read(header.length))) || Buffer.alloc(0);
      expect(header).toMatchObject({ kind: "chunk", type: CHUNK.blockStatus, flags: CHUNK_DONE });
      return decodeBlockStatus(payload, false).extents.map(({ length, flags }) => [length, flags]);
    };
    const nothing = ALLOCATION.hole + ALLOCATION.zero;
    expect(await status({ offset: 0, length: LONGEST })).toEqual([[LONGEST, nothing]]);
    expect(await status({ offset: 2 * GIB, length: LONGEST })).toEqual([
      [3 * GIB, nothing],
      [65_536, 0],
      [LONGEST - 3 * GIB - 65_536, nothing],
    ]);
    expect(await status({ offset: 2 * GIB, length: LONGEST, flags: COMMAND_FLAG.requestOne })).toEqual([[3 * GIB, nothing]]);
    expect(await status({ offset: SIZE - LONGEST, length: LONGEST })).toEqual([
      [65_535, 0],
      [LONGEST - 65_535, nothing],
    ]);
    for (const command of [COMMAND.writeZeroes, COMMAND.trim]) {
      client.request({ command, offset: 4 * GIB + 1, length: LONGEST });
      const header = decodeReply((await client.read(20)) ?? Buffer.alloc(0));
      expect(header).toMatchObject({ kind: "chunk", type: CHUNK.none });
    }
    expect(await status({ offset: 4 * GIB, length: LONGEST })).toEqual([[LONGEST, nothing]]);
  });

  test("our client asks for whole blocks that fit into 32 bits, and goes on from where an answer ends", async () => {
    const asked: RequestHeader[] = [];
    const path = await peers.server(async (peer) => {
      const flags = EXPORT_FLAG.hasFlags + EXPORT_FLAG.trim + EXPORT_FLAG.writeZeroes;
      await peer.handshake([
        { kind: "export", size: SIZE, flags },
        { kind: "blockSize", minimum: 4096, preferred: 4096, maximum: 2 ** 25 },
      ]);
      for (;;) {
        const bytes = await peer.read(28);
        if (bytes === undefined) return;
        const request = decodeRequest(bytes, false);
        if (request.command === COMMAND.disconnect) return;
        asked.push(request);
        const isStatus = request.command === COMMAND.blockStatus;
        // The last extent may go past the request, as far as its number can.
        const extents = [{ length: LONGEST - 4095, flags: request.offset === 0 ? ALLOCATION.zero : 0 }];
        const payload = isStatus ? encodeBlockStatus({ contextId: 7, extents }, false) : Buffer.alloc(0);
        const header = Buffer.alloc(20);
        const type = isStatus ? CHUNK.blockStatus : CHUNK.none;
        writeChunkHeader(header, 0, { ...request, type, flags: CHUNK_DONE, length: payload.length, requestOffset: 0 }, false);
        peer.send(header, payload);
      }
    });
    const node = await peers.graph.open({ driver: "nbd", path });
    const kinds = [];
    for await (const { kind, length } of node.extents()) kinds.push(`${kind} ${length}`);
    expect(kinds).toEqual([`zero ${LONGEST - 4095}`, `data ${SIZE - LONGEST + 4095}`]);
    await node.writeZeroes(0, SIZE);
    await node.discard(4 * GIB - 4096, 5 * GIB);
    expect(asked.filter(({ offset, length }) => length > LONGEST || length % 4096 !== 0 || offset % 4096 !== 0)).toEqual([]);
    for (const [command, total] of [
      [COMMAND.writeZeroes, SIZE],
      [COMMAND.trim, 5 * GIB],
    ] as const)
      expect(asked.filter((request) => request.command === command).reduce((sum, { length }) => sum + length, 0)).toBe(total);
    await node[Symbol.asyncDispose]();
  });
});
