import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BlockNode, SystemClock } from "@coblock/core";
import { ALLOCATION, COMMAND, COMMAND_FLAG, INFO, OPTION, OPTION_ERROR, OPTION_REPLY } from "../protocol/codes.ts";
import { encodeInfoRequest } from "../protocol/export-info.ts";
import { encodeMetaContextRequest } from "../protocol/meta-context.ts";
import { encodeOption } from "../protocol/option.ts";
import { encodeRequest } from "../protocol/request.ts";
import { RawPeers } from "../test/raw-peer.ts";
import { NbdServer, type NbdServerOptions } from "./nbd-server.ts";
import type { NbdServerEvent } from "./server-event.ts";
import { collectRuns } from "./status-runs.ts";

const SIZE = 8 * 1024 * 1024;
const peers = new RawPeers();
let node: BlockNode;

beforeAll(async () => {
  node = await peers.graph.open({ driver: "memory", size: SIZE });
  await node.write(0, Buffer.alloc(65_536, 1));
});
afterAll(() => peers[Symbol.asyncDispose]());

async function serve(options: Partial<NbdServerOptions> = {}): Promise<{ server: NbdServer; path: string; events: NbdServerEvent[] }> {
  const path = peers.path();
  const events: NbdServerEvent[] = [];
  const listen = { path };
  const server = await NbdServer.start({
    listen,
    exports: [{ name: "", node, writable: true }],
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { server, path, events };
}

async function untilNobody(server: NbdServer): Promise<void> {
  const clock = new SystemClock();
  while (server.connections.length > 0) await clock.yield();
}

test("a client that leaves at any byte of the handshake, of a request or of a payload is let go (D2)", async () => {
  const { server, path, events } = await serve();
  const handshake = [
    Buffer.from([0, 0, 0, 3]),
    encodeOption(OPTION.structuredReply),
    encodeOption(OPTION.go, encodeInfoRequest({ name: "", wanted: [] })),
  ];
  const write = encodeRequest({ flags: 0, command: COMMAND.write, cookieHigh: 0, cookieLow: 1, offset: 4096, length: 64 }, false);
  const all = Buffer.concat([...handshake, write, Buffer.alloc(64, 9)]);
  for (let length = 0; length < all.length; length++) {
    const client = await peers.client(path);
    client.send(all.subarray(0, length));
    if (length % 2 === 0) client.socket.destroy();
    else client.socket.end();
    await client.gone();
  }
  await untilNobody(server);
  expect(events.filter(({ kind }) => kind === "cut off")).toEqual([]);
  const head = Buffer.alloc(64);
  await node.read(4096, head);
  expect(head.equals(Buffer.alloc(64, 1))).toBe(true);
  const client = await (await peers.client(path)).go();
  client.request({ command: COMMAND.read, length: 512 });
  expect(await client.errno(512)).toBe(0);
  await server.close();
});

test.each([
  ["EXPORT_NAME is served", encodeOption(OPTION.exportName), SIZE],
  ["anything else ends the connection", encodeOption(OPTION.list), undefined],
])("a client of before the fixed newstyle: %s", async (_, option, size) => {
  const { server, path } = await serve();
  const client = await peers.client(path);
  await client.read(18);
  client.send(Buffer.alloc(4), option);
  expect((await client.read(8 + 2 + 124))?.readBigUInt64BE()).toBe(size && BigInt(size));
  client.socket.destroy();
  await server.close();
});

describe("what a client may not send", () => {
  test("names that are too long are refused, and the connection goes on (D3)", async () => {
    const { server, path } = await serve();
    const client = await (await peers.client(path)).greet();
    for (const length of [4097, 60_000]) {
      const data = Buffer.alloc(4 + length + 2, 0x61);
      data.writeUInt32BE(length, 0);
      data.writeUInt16BE(0, 4 + length);
      expect((await client.ask(OPTION.go, data)).types).toEqual([OPTION_ERROR.invalid]);
    }
    expect((await client.ask(OPTION.info, Buffer.alloc(200_000, 0x61))).types).toEqual([OPTION_ERROR.tooBig]);
    expect((await client.ask(OPTION.info, encodeInfoRequest({ name: "none", wanted: [] }))).types).toEqual([OPTION_ERROR.unknown]);
    expect((await client.ask(OPTION.list)).types).toEqual([OPTION_REPLY.server, OPTION_REPLY.ack]);
    await server.close();
  });

  test("options without end, and endless options, end the connection (D4)", async () => {
    const { server, path, events } = await serve();
    const flood = await (await peers.client(path)).greet();
    const many = Buffer.concat(Array.from({ length: 1100 }, () => encodeOption(OPTION.list)));
    flood.send(many);
    await flood.gone();
    const huge = await (await peers.client(path)).greet();
    const header = encodeOption(99).subarray(0, 16);
    header.writeUInt32BE(0xffffffff, 12);
    huge.send(header);
    await huge.gone();
    expect(events.filter(({ kind }) => kind === "cut off").map((event) => ("reason" in event ? event.reason : ""))).toEqual([
      expect.stringMatching(/more than 1024 options/),
      expect.stringMatching(/4294967295 bytes/),
    ]);
    await server.close();
  });

  test("malformed options are refused one by one; wrong magic numbers and flags end the connection", async () => {
    const { server, path } = await serve();
    const client = await (await peers.client(path)).greet();
    const lying = encodeMetaContextRequest({ exportName: "", queries: ["base:"] });
    lying.writeUInt32BE(1_000_000, 4);
    const cases: readonly (readonly [number, Buffer])[] = [
      [OPTION.go, Buffer.alloc(3)],
      [OPTION.go, Buffer.from([0, 0, 0, 0, 0, 9])],
      [OPTION.info, Buffer.concat([Buffer.from([0, 0, 0, 1, 0xff]), Buffer.alloc(2)])],
      [OPTION.list, Buffer.alloc(1)],
      [OPTION.setMetaContext, encodeMetaContextRequest({ exportName: "", queries: [] })],
    ];
    for (const [option, data] of cases) expect((await client.ask(option, data)).types).toEqual([OPTION_ERROR.invalid]);
    expect((await client.ask(77)).types).toEqual([OPTION_ERROR.unsupported]);
    expect((await client.ask(OPTION.structuredReply)).types).toEqual([OPTION_REPLY.ack]);
    expect((await client.ask(OPTION.structuredReply)).types).toEqual([OPTION_ERROR.invalid]);
    expect((await client.ask(OPTION.setMetaContext, lying)).types).toEqual([OPTION_ERROR.invalid]);
    expect((await client.ask(OPTION.startTls)).types).toEqual([OPTION_ERROR.policy]);
    client.send(Buffer.alloc(16, 1));
    await client.gone();
    const odd = await peers.client(path);
    odd.send(Buffer.from([0, 0, 0, 8]));
    await odd.gone();
    await server.close();
  });

  test("requests that do not fit are refused with the number that the protocol has for them, and others go on", async () => {
    const { server, path } = await serve();
    const client = await (await peers.client(path)).go();
    const past = [{ command: COMMAND.read }, { command: COMMAND.trim }, { command: COMMAND.cache }, { command: COMMAND.writeZeroes }];
    const errors: (number | undefined)[] = [];
    for (const request of past) {
      client.request({ ...request, offset: SIZE - 512, length: 1024 });
      errors.push(await client.errno());
    }
    client.request({ command: COMMAND.write, offset: SIZE, length: 4 }, Buffer.alloc(4));
    errors.push(await client.errno());
    client.request({ command: COMMAND.read, offset: Number.MAX_SAFE_INTEGER, length: 1 });
    errors.push(await client.errno());
    for (const request of [
      { command: 99 },
      { command: COMMAND.read, flags: COMMAND_FLAG.fastZero, length: 1 },
      { command: COMMAND.blockStatus, length: 1 },
    ]) {
      client.request(request);
      errors.push(await client.errno());
    }
    expect(errors).toEqual([22, 22, 22, 28, 28, 22, 22, 22, 22]);
    client.request({ command: COMMAND.read, length: 512 });
    expect(await client.errno(512)).toBe(0);
    client.request({ command: COMMAND.write, length: 33 * 1024 * 1024 });
    await client.gone();
    await server.close();
  });
});

test("nothing is opened before the client has chosen it (D6)", async () => {
  let opened = 0;
  const open = async (): Promise<BlockNode> => {
    opened++;
    return node.retain();
  };
  const { server, path } = await serve({ exports: [{ name: "late", node: open }] });
  const client = await (await peers.client(path)).greet();
  await client.ask(OPTION.list);
  expect(opened).toBe(0);
  await client.ask(OPTION.info, encodeInfoRequest({ name: "late", wanted: [INFO.blockSize] }));
  expect(opened).toBe(1);
  await client.ask(OPTION.go, encodeInfoRequest({ name: "late", wanted: [] }));
  expect(opened).toBe(1);
  await server.close();
});

describe("limits (D10)", () => {
  test("a client that stays in the handshake is cut off", async () => {
    const { server, path, events } = await serve({ handshakeTimeoutMs: 20 });
    const client = await (await peers.client(path)).greet();
    await client.gone();
    await untilNobody(server);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "cut off", reason: expect.stringMatching(/handshake took longer/) as unknown }),
    );
    await server.close();
  });

  test("a client that owes its payload is cut off, and so is one that takes no replies; others go on", async () => {
    const { server, path, events } = await serve({ stallTimeoutMs: 30 });
    const owing = await (await peers.client(path)).go();
    owing.request({ command: COMMAND.write, length: 1000 }, Buffer.alloc(10));
    await owing.gone();
    const deaf = await (await peers.client(path)).go();
    deaf.socket.pause();
    for (let count = 0; count < 16; count++) deaf.request({ command: COMMAND.read, length: 4 * 1024 * 1024 });
    await untilNobody(server);
    expect(events.filter(({ kind }) => kind === "cut off").map((event) => ("reason" in event ? event.reason : ""))).toEqual([
      "the client has stalled for 0.03 s",
      "the client has stalled for 0.03 s",
    ]);
    await server.close();
  });

  test("connections beyond the limit are closed at once", async () => {
    const { server, path, events } = await serve({ maxConnections: 1 });
    const first = await (await peers.client(path)).go();
    const second = await peers.client(path);
    await second.gone();
    expect(events).toContainEqual(expect.objectContaining({ kind: "refused" }));
    first.request({ command: COMMAND.read, length: 512 });
    expect(await first.errno(512)).toBe(0);
    await server.close();
  });

  test("a flood of reads takes no more memory than the limit and one request", async () => {
    const { server, path } = await serve({ maxMemory: 1024 * 1024, maxRequests: 8 });
    const client = await (await peers.client(path)).go();
    let deepest = 0;
    const read = node.read.bind(node);
    let running = 0;
    node.read = async (offset, into, options) => {
      deepest = Math.max(deepest, ++running);
      await new SystemClock().yield();
      await read(offset, into, options).finally(() => running--);
    };
    for (let count = 0; count < 64; count++) client.request({ command: COMMAND.read, length: 256 * 1024 });
    for (let count = 0; count < 64; count++) expect(await client.errno(256 * 1024)).toBe(0);
    node.read = read;
    expect(deepest).toBeLessThanOrEqual(4);
    await server.close();
  });
});

test("a client that takes no replies is asked for no more when some MiB of them wait, and then gets all", async () => {
  const length = 512 * 1024;
  const { server, path } = await serve();
  const client = await (await peers.client(path)).go();
  const clock = new SystemClock();
  for (let count = 0; count < 120; count++) client.request({ command: COMMAND.read, offset: 0, length });
  const moved = (): number => server.connections[0]?.traffic.readBytes ?? 0;
  for (let still = 0, before = -1; still < 50; still = moved() === before ? still + 1 : 0) {
    before = moved();
    await clock.yield();
  }
  expect(moved()).toBeGreaterThan(0);
  // Some were begun before the first ones had ended.
  expect(moved()).toBeLessThan(16 * 1024 * 1024);
  for (let count = 0; count < 120; count++) expect(await client.errno(length)).toBe(0);
  await server.close();
});

describe("shutdown", () => {
  test("answers what is in flight, cuts off who negotiates, and takes nobody new", async () => {
    const { server, path } = await serve();
    const half = await (await peers.client(path)).greet();
    const client = await (await peers.client(path)).go();
    const read = node.read.bind(node);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const begun = new Promise<void>((resolve) => {
      node.read = async (offset, into, options) => {
        resolve();
        await held;
        await read(offset, into, options);
      };
    });
    client.request({ command: COMMAND.read, length: 512 });
    await begun;
    const closed = server.close();
    await half.gone();
    release();
    expect(await client.errno(512)).toBe(0);
    node.read = read;
    await client.gone();
    await closed;
    await expect(peers.client(path)).rejects.toThrow(/ENOENT/);
  });

  test("exported bitmaps are held, and free afterwards (D14)", async () => {
    await node.bitmaps.add({ name: "changes" });
    const { server } = await serve({ exports: [{ name: "", node, bitmaps: ["changes"] }] });
    await expect(node.bitmaps.remove("changes")).rejects.toThrow(/currently in use/);
    await server.close();
    await node.bitmaps.remove("changes");
  });
});

test("a flush on one connection covers what another one has completed, as MULTI_CONN says (D15)", async () => {
  const { server, path } = await serve();
  const [writer, flusher] = [await (await peers.client(path)).go(), await (await peers.client(path)).go()];
  const order: string[] = [];
  const [write, flush] = [node.write.bind(node), node.flush.bind(node)];
  node.write = (...words) => write(...words).then(() => void order.push("written"));
  node.flush = (...words) => {
    order.push("flush");
    return flush(...words);
  };
  writer.request({ command: COMMAND.write, length: 4 }, Buffer.alloc(4, 1));
  expect(await writer.errno()).toBe(0);
  flusher.request({ command: COMMAND.flush });
  expect(await flusher.errno()).toBe(0);
  [node.write, node.flush] = [write, flush];
  expect(order).toEqual(["written", "flush"]);
  await server.close();
});

test("a block in which data and zeros meet is data, and the tail of the disk is told (D16)", async () => {
  const runs = [
    { length: 700, flags: ALLOCATION.hole + ALLOCATION.zero },
    { length: 100, flags: 0 },
    { length: 2000, flags: ALLOCATION.hole + ALLOCATION.zero },
  ];
  const limits = { blockSize: 512, combine: (left: number, right: number) => left & right, maxCount: 10 };
  expect(await collectRuns(runs, limits)).toEqual([
    { length: 512, flags: 3 },
    { length: 512, flags: 0 },
    { length: 1776, flags: 3 },
  ]);
  expect(await collectRuns(runs, { ...limits, maxCount: 2 })).toEqual([
    { length: 512, flags: 3 },
    { length: 512, flags: 0 },
  ]);
});
