import { afterAll, describe, expect, test } from "vitest";
import { ALLOCATION, CHUNK, CHUNK_DONE, EXPORT_FLAG, OPTION, OPTION_ERROR, OPTION_REPLY } from "../protocol/codes.ts";
import { encodeBlockStatus, encodeError, encodeHole } from "../protocol/chunk.ts";
import { encodeExportInfo, type ExportInfo } from "../protocol/export-info.ts";
import { encodeServerGreeting } from "../protocol/greeting.ts";
import { encodeMetaContext } from "../protocol/meta-context.ts";
import { encodeOptionReply } from "../protocol/option.ts";
import { writeChunkHeader } from "../protocol/reply.ts";
import { writeWide } from "../protocol/request.ts";
import { RawPeers } from "../test/raw-peer.ts";

const SIZE = 64 * 1024;
const FLAGS = EXPORT_FLAG.hasFlags + EXPORT_FLAG.readOnly;
const INFOS: readonly ExportInfo[] = [
  { kind: "export", size: SIZE, flags: FLAGS },
  { kind: "blockSize", minimum: 1, preferred: 4096, maximum: 2 ** 25 },
];
const peers = new RawPeers();
afterAll(() => peers[Symbol.asyncDispose]());

/** All that a server says until the client may make requests: what the client asks is known. */
const HANDSHAKE = Buffer.concat([
  encodeServerGreeting(),
  encodeOptionReply(OPTION.extendedHeaders, OPTION_ERROR.unsupported, Buffer.from("no")),
  encodeOptionReply(OPTION.structuredReply, OPTION_REPLY.ack),
  encodeOptionReply(OPTION.setMetaContext, OPTION_REPLY.metaContext, encodeMetaContext({ id: 7, name: "base:allocation" })),
  encodeOptionReply(OPTION.setMetaContext, OPTION_REPLY.ack),
  ...INFOS.map((info) => encodeOptionReply(OPTION.go, OPTION_REPLY.info, encodeExportInfo(info))),
  encodeOptionReply(OPTION.go, OPTION_REPLY.ack),
]);

function chunk(cookieLow: number, type: number, payload: Buffer, isLast: boolean): Buffer {
  const header = Buffer.alloc(20);
  const flags = isLast ? CHUNK_DONE : 0;
  writeChunkHeader(header, 0, { type, flags, length: payload.length, requestOffset: 0, cookieHigh: 0, cookieLow }, false);
  return Buffer.concat([header, payload]);
}

function dataAt(offset: number, bytes: Buffer): Buffer {
  const payload = Buffer.concat([Buffer.alloc(8), bytes]);
  writeWide(payload, 0, offset);
  return payload;
}

/** Answers to a read of 64 bytes at 0, one at 100 that fails, and a block status, in pieces among each other. */
const REPLIES = Buffer.concat([
  chunk(1, CHUNK.data, dataAt(32, Buffer.alloc(32, 3)), false),
  chunk(3, CHUNK.blockStatus, encodeBlockStatus({ contextId: 7, extents: [{ length: SIZE, flags: ALLOCATION.zero }] }, false), true),
  chunk(1, CHUNK.hole, encodeHole(0, 16), false),
  chunk(2, CHUNK.error, encodeError(5, "broken"), true),
  chunk(1, CHUNK.data, dataAt(16, Buffer.alloc(16, 2)), true),
]);
const REQUESTS = 3;
/** Bytes up to the end of the second chunk, the only one of the block status. */
const FIRST_WHOLE_LENGTH = 20 + 8 + 32 + 20 + 4 + 8;

describe("a server that leaves at any byte", () => {
  test("of the handshake: opening fails, in one line", async () => {
    for (let length = 0; length < HANDSHAKE.length; length++) {
      const path = await peers.server(async (peer) => peer.send(HANDSHAKE.subarray(0, length)));
      const opening = peers.graph.open({ driver: "nbd", path }, { readOnly: true });
      await expect(opening, `${length} bytes`).rejects.toMatchObject({
        code: "IO",
        message: expect.stringMatching(/^\S+: [^\n]*(?:closed|reset|pipe|aborted)/i) as unknown,
      });
    }
  });

  test("of its replies: what was answered whole is answered, all else fails, once each", async () => {
    const expected = Buffer.concat([Buffer.alloc(16), Buffer.alloc(16, 2), Buffer.alloc(32, 3)]);
    let most = 0;
    for (let length = 0; length <= REPLIES.length; length++) {
      const path = await peers.server(async (peer) => {
        await peer.handshake(INFOS);
        for (let seen = 0; seen < REQUESTS; seen++) await peer.read(28);
        peer.send(REPLIES.subarray(0, length));
      });
      const node = await peers.graph.open({ driver: "nbd", path }, { readOnly: true });
      const into = Buffer.alloc(64, 9);
      const status = async (): Promise<number> => {
        let count = 0;
        for await (const _extent of node.extents()) count++;
        return count;
      };
      const outcomes = await Promise.allSettled([node.read(0, into), node.read(100, Buffer.alloc(8)), status()]);
      const whole = outcomes.map(({ status: how }) => how === "fulfilled");
      expect(whole, `${length} bytes`).toEqual([length === REPLIES.length, false, length >= FIRST_WHOLE_LENGTH]);
      if (whole[0] === true) expect(into.equals(expected)).toBe(true);
      const broken = outcomes[1];
      if (broken?.status === "rejected" && String(broken.reason).includes("broken")) most++;
      await node[Symbol.asyncDispose]();
    }
    // The error was heard in whole from some byte on.
    expect(most).toBeGreaterThan(20);
  });
});
