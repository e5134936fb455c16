import { afterAll, describe, expect, test } from "vitest";
import type { BlockNode } from "@coblock/core";
import { CHUNK, CHUNK_DONE, COMMAND, EXPORT_FLAG, MAGIC } from "../protocol/codes.ts";
import { encodeBlockStatus, encodeError, encodeHole } from "../protocol/chunk.ts";
import { truncateText } from "../protocol/field-writer.ts";
import { decodeRequest, type RequestHeader, writeWide } from "../protocol/request.ts";
import { writeChunkHeader, writeSimpleReply } from "../protocol/reply.ts";
import { encodeServerGreeting } from "../protocol/greeting.ts";
import { RawPeers, type RawServer } from "../test/raw-peer.ts";

const SIZE = 1024 * 1024;
const FLAGS = EXPORT_FLAG.hasFlags + EXPORT_FLAG.readOnly;
const peers = new RawPeers();
afterAll(() => peers[Symbol.asyncDispose]());

/** One chunk of a structured reply. */
function chunk(request: RequestHeader, type: number, payload: Buffer, flags: number = CHUNK_DONE, length: number = payload.length): Buffer {
  const header = Buffer.alloc(20);
  writeChunkHeader(
    header,
    0,
    { type, flags, length, requestOffset: 0, cookieHigh: request.cookieHigh, cookieLow: request.cookieLow },
    false,
  );
  return Buffer.concat([header, payload]);
}

function data(request: RequestHeader, offset: number, length: number, flags: number = CHUNK_DONE): Buffer {
  const payload = Buffer.alloc(8 + length, 5);
  writeWide(payload, 0, offset);
  return chunk(request, CHUNK.data, payload, flags);
}

type Answer = (request: RequestHeader) => Buffer;

/** A node whose server answers every request of the kind with these bytes, and others as it should. */
async function nodeWith(answer: Answer, command: number = COMMAND.read): Promise<BlockNode> {
  const path = await peers.server(async (peer) => {
    await peer.handshake([
      { kind: "export", size: SIZE, flags: FLAGS },
      { kind: "blockSize", minimum: 1, preferred: 4096, maximum: 2 ** 25 },
    ]);
    await answerAll(peer, command, answer);
  });
  return peers.graph.open({ driver: "nbd", path }, { readOnly: true });
}

async function answerAll(peer: RawServer, command: number, answer: Answer): Promise<void> {
  for (;;) {
    const bytes = await peer.read(28);
    if (bytes === undefined) return;
    const request = decodeRequest(bytes, false);
    if (request.command === COMMAND.disconnect) return;
    peer.send(request.command === command ? answer(request) : data(request, request.offset, request.length));
  }
}

const LIES: Readonly<Record<string, Answer>> = {
  "a cookie of no request": (request) => data({ ...request, cookieLow: request.cookieLow + 1 }, 0, 512),
  "a cookie that differs in its upper half": (request) => data({ ...request, cookieHigh: 1 }, 0, 512),
  "data outside the request": (request) => data(request, 256, 512),
  "data in front of the request": (request) => data({ ...request }, Number.MAX_SAFE_INTEGER, 512),
  "data that overlaps": (request) => Buffer.concat([data(request, 0, 256, 0), data(request, 128, 256)]),
  "a hole over data": (request) => Buffer.concat([data(request, 0, 500, 0), chunk(request, CHUNK.hole, encodeHole(488, 12))]),
  "too few data": (request) => data(request, 0, 511),
  "more data than memory has": (request) => chunk(request, CHUNK.data, Buffer.alloc(8), CHUNK_DONE, 2 ** 32 - 1),
  "data of no bytes": (request) => chunk(request, CHUNK.data, Buffer.alloc(8)),
  "a hole of no bytes": (request) => chunk(request, CHUNK.hole, encodeHole(0, 0)),
  "a NONE that goes on": (request) => chunk(request, CHUNK.none, Buffer.alloc(0), 0),
  "a NONE with a payload": (request) => chunk(request, CHUNK.none, Buffer.alloc(4)),
  "an unknown chunk": (request) => chunk(request, 1000, Buffer.alloc(4)),
  "unknown flags": (request) => chunk(request, CHUNK.none, Buffer.alloc(0), 3),
  "an error without number": (request) => chunk(request, CHUNK.error, Buffer.alloc(6)),
  "an error longer than 4096 bytes (D7)": (request) => chunk(request, CHUNK.error, Buffer.alloc(8192, 1)),
  "an error whose text is longer than itself": (request) => chunk(request, CHUNK.error, Buffer.from([0, 0, 0, 5, 1, 0])),
  "block status for a read": (request) =>
    chunk(request, CHUNK.blockStatus, encodeBlockStatus({ contextId: 7, extents: [{ length: 512, flags: 0 }] }, false)),
  "a simple reply to a read": (request) => simple(request),
  "no reply at all": () => Buffer.alloc(20, 7),
  "an extended reply": (request) => {
    const bytes = data(request, 0, 512);
    bytes.writeUInt32BE(MAGIC.extendedReply, 0);
    return bytes;
  },
};

function simple(request: RequestHeader): Buffer {
  const bytes = Buffer.alloc(16 + 512);
  writeSimpleReply(bytes, 0, request, 0);
  return bytes;
}

describe("a reply that breaks the protocol ends the connection, and all that is in flight fails (D1, D12)", () => {
  test.each(Object.keys(LIES))("%s", async (name) => {
    const lie = LIES[name] ?? simple;
    let count = 0;
    const node = await nodeWith((request) => (count++ === 0 ? lie(request) : Buffer.alloc(0)));
    const outcomes = await Promise.allSettled([node.read(0, Buffer.alloc(512)), node.read(4096, Buffer.alloc(512))]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "IO" } });
    await node[Symbol.asyncDispose]();
  });

  test("a second final chunk", async () => {
    const node = await nodeWith((request) => Buffer.concat([data(request, request.offset, 512), data(request, request.offset, 512)]));
    await node.read(0, Buffer.alloc(512));
    await expect(node.read(0, Buffer.alloc(512))).rejects.toMatchObject({ code: "IO" });
    await node[Symbol.asyncDispose]();
  });

  test.each([
    ["no extents", []],
    ["an extent of no bytes", [{ length: 0, flags: 0 }]],
    [
      "extents behind the request",
      [
        { length: SIZE, flags: 0 },
        { length: 512, flags: 0 },
      ],
    ],
  ])("block status with %s (D8)", async (_, extents) => {
    const node = await nodeWith(
      (request) => chunk(request, CHUNK.blockStatus, encodeBlockStatus({ contextId: 7, extents }, false)),
      COMMAND.blockStatus,
    );
    await expect(node.extents()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "IO" });
    await node[Symbol.asyncDispose]();
  });

  test("block status of a context that was not selected", async () => {
    const extents = [{ length: SIZE, flags: 0 }];
    const node = await nodeWith(
      (request) => chunk(request, CHUNK.blockStatus, encodeBlockStatus({ contextId: 8, extents }, false)),
      COMMAND.blockStatus,
    );
    await expect(node.extents()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "IO" });
    await node[Symbol.asyncDispose]();
  });
});

test("unknown errors are errors, chunks come in any order, and a last extent may go past the request", async () => {
  const node = await nodeWith((request) =>
    request.offset === 0
      ? chunk(request, 0x8123, encodeError(28, "odd"))
      : Buffer.concat([
          data(request, request.offset + 256, 256, 0),
          chunk(request, CHUNK.hole, encodeHole(request.offset, 256), 0),
          chunk(request, CHUNK.none, Buffer.alloc(0)),
        ]),
  );
  await expect(node.read(0, Buffer.alloc(512))).rejects.toMatchObject({ code: "NO_SPACE" });
  const bytes = Buffer.alloc(512, 1);
  await node.read(512, bytes);
  expect(bytes.equals(Buffer.concat([Buffer.alloc(256), Buffer.alloc(256, 5)]))).toBe(true);
  await node[Symbol.asyncDispose]();
  const status = await nodeWith(
    (request) => chunk(request, CHUNK.blockStatus, encodeBlockStatus({ contextId: 7, extents: [{ length: SIZE * 4, flags: 3 }] }, false)),
    COMMAND.blockStatus,
  );
  const found = [];
  for await (const { kind, length } of status.extents()) found.push({ kind, length });
  expect(found).toEqual([{ kind: "zero", length: SIZE }]);
  await status[Symbol.asyncDispose]();
});

describe("a handshake that lies is an error in words (D8)", () => {
  test.each([
    ["a minimum that is no power of two", 3, 4096, 2 ** 25],
    ["a minimum of 0", 0, 4096, 2 ** 25],
    ["a minimum above 64 KiB", 2 ** 17, 2 ** 17, 2 ** 25],
    ["a preferred size below the minimum", 4096, 512, 2 ** 25],
    ["a maximum below the preferred size", 512, 4096, 1024],
  ])("%s", async (_, minimum, preferred, maximum) => {
    const path = await peers.server((peer) =>
      peer.handshake([
        { kind: "export", size: SIZE, flags: FLAGS },
        { kind: "blockSize", minimum, preferred, maximum },
      ]),
    );
    await expect(peers.graph.open({ driver: "nbd", path }, { readOnly: true })).rejects.toMatchObject({
      code: "IO",
      message: expect.stringMatching(/block sizes/) as unknown,
    });
  });

  test("a size that is no multiple of the minimum, no size, no valid flags", async () => {
    const open = (infos: Parameters<RawServer["handshake"]>[0]): Promise<BlockNode> =>
      peers.server((peer) => peer.handshake(infos)).then((path) => peers.graph.open({ driver: "nbd", path }, { readOnly: true }));
    await expect(
      open([
        { kind: "export", size: 1000, flags: FLAGS },
        { kind: "blockSize", minimum: 512, preferred: 4096, maximum: 2 ** 25 },
      ]),
    ).rejects.toThrow(/1000 is not a multiple/);
    await expect(open([])).rejects.toThrow(/does not tell the size/);
    await expect(open([{ kind: "export", size: 1000, flags: 0 }])).rejects.toThrow(/not valid/);
  });

  test("another protocol, impossible flags in the old handshake, and a server that leaves at any byte", async () => {
    const greet = async (bytes: Buffer): Promise<unknown> => {
      const path = await peers.server(async (peer) => peer.send(bytes));
      return peers.graph.open({ driver: "nbd", path }, { readOnly: true });
    };
    await expect(greet(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"))).rejects.toThrow(/no NBD server/);
    const old = Buffer.alloc(152);
    old.writeBigUInt64BE(MAGIC.greeting, 0);
    old.writeBigUInt64BE(MAGIC.oldStyle, 8);
    for (const greeting of [encodeServerGreeting(), old])
      for (let length = 0; length < greeting.length; length++)
        await expect(greet(greeting.subarray(0, length))).rejects.toMatchObject({
          code: "IO",
          message: expect.stringMatching(/closed|reset|pipe/i) as unknown,
        });
    old.writeUInt32BE(2 ** 16, 24);
    await expect(greet(old)).rejects.toThrow(/export flags \(65536\) are not valid/);
  });
});

test("a text is cut between characters (D7)", () => {
  const cut = truncateText("x".repeat(4095) + "é".repeat(10));
  expect(cut.length).toBe(4095);
  expect(truncateText("é".repeat(2048)).length).toBe(4096);
});
