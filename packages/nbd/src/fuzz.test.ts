import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BlockNode, SystemClock } from "@coblock/core";
import { COMMAND, COMMAND_FLAG, INFO, OPTION } from "./protocol/codes.ts";
import { encodeInfoRequest } from "./protocol/export-info.ts";
import { encodeClientGreeting } from "./protocol/greeting.ts";
import { encodeMetaContextRequest } from "./protocol/meta-context.ts";
import { encodeOption } from "./protocol/option.ts";
import { encodeRequest } from "./protocol/request.ts";
import { NbdServer } from "./server/nbd-server.ts";
import type { NbdServerEvent } from "./server/server-event.ts";
import { damage, Dice, pieces } from "./test/mutations.ts";
import { RawPeers } from "./test/raw-peer.ts";

/** More by hand: COBLOCK_NBD_FUZZ=20000 npx vitest run packages/nbd/src/fuzz.test.ts */
const CASES = Number(process.env["COBLOCK_NBD_FUZZ"] ?? 400);
const FIRST_SEED = Number(process.env["COBLOCK_NBD_SEED"] ?? 1);
const SIZE = 4 * 1024 * 1024;
const IDLE_MS = 30;

const peers = new RawPeers();
const clock = new SystemClock();
const events: NbdServerEvent[] = [];
let kept: BlockNode;
let server: NbdServer;
let path = "";

beforeAll(async () => {
  kept = await peers.graph.open({ driver: "memory", size: SIZE });
  await kept.write(1000, Buffer.alloc(100_000, 6));
  const scratch = await peers.graph.open({ driver: "memory", size: SIZE });
  path = peers.path();
  server = await NbdServer.start({
    listen: { path },
    exports: [
      { name: "kept", node: kept },
      { name: "scratch", node: scratch, writable: true },
    ],
    handshakeTimeoutMs: 5000,
    onEvent: (event) => events.push(event),
  });
});
afterAll(async () => {
  await server.close();
  await peers[Symbol.asyncDispose]();
});

/** What a client may say from its first byte to its last. */
function session(dice: Dice): Buffer {
  const extended = dice.roll(2) === 0;
  const request = (command: number, offset: number, length: number, flags = 0): Buffer =>
    encodeRequest({ command, flags, offset, length, cookieHigh: dice.roll(9), cookieLow: dice.roll(9) }, extended);
  const payload = extended ? COMMAND_FLAG.payload : 0;
  return Buffer.concat([
    encodeClientGreeting({ fixedNewstyle: true, noZeroes: dice.roll(2) === 0 }),
    encodeOption(OPTION.list),
    encodeOption(extended ? OPTION.extendedHeaders : OPTION.structuredReply),
    encodeOption(OPTION.setMetaContext, encodeMetaContextRequest({ exportName: "scratch", queries: ["base:allocation"] })),
    encodeOption(OPTION.go, encodeInfoRequest({ name: "scratch", wanted: [INFO.blockSize, INFO.name] })),
    request(COMMAND.write, 4096, 600, payload),
    Buffer.alloc(600, 3),
    request(COMMAND.read, 0, 70_000),
    request(COMMAND.blockStatus, 0, SIZE),
    request(COMMAND.writeZeroes, 8192, 100_000, COMMAND_FLAG.fastZero),
    request(COMMAND.trim, 0, 65_536),
    request(COMMAND.flush, 0, 0),
    request(COMMAND.cache, 0, SIZE),
    request(COMMAND.disconnect, 0, 0),
  ]);
}

test(`damaged clients, ${CASES} by seed: nobody else notices, and the server lets all of them go`, async () => {
  const witness = await (await peers.client(path)).go("kept");
  for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES; seed++) {
    const dice = new Dice(seed);
    const client = await peers.client(path);
    const gone = client.gone();
    for (const piece of pieces(damage(session(dice), dice), dice)) {
      client.socket.write(piece);
      if (dice.roll(4) === 0) await clock.yield();
    }
    if (dice.roll(3) === 0) client.socket.destroy();
    else client.socket.end();
    await gone;
    witness.request({ command: COMMAND.read, offset: 900, length: 200 });
    const header = await witness.read(16);
    expect(header?.readUInt32BE(4), `seed ${seed}`).toBe(0);
    const data = await witness.read(200);
    expect(data?.equals(Buffer.concat([Buffer.alloc(100), Buffer.alloc(100, 6)])), `seed ${seed}`).toBe(true);
  }
  while (server.connections.length > 1) await clock.yield();
  for (const event of events) if ("reason" in event) expect(event.reason).not.toMatch(/\n|assertion|undefined|not a function|Cannot read/);
}, 600_000);

/** Passes bytes on between one client and our server, with the server's damaged; hangs up when nothing moves. */
function proxy(dice: () => Dice): Server {
  return createServer((client: Socket) => {
    const upstream = connect(path);
    let timer: Disposable | undefined;
    const hangUp = (): void => {
      client.destroy();
      upstream.destroy();
    };
    const move = (): void => {
      timer?.[Symbol.dispose]();
      timer = clock.schedule(IDLE_MS, hangUp);
    };
    client
      .on("data", (bytes: Buffer) => (move(), upstream.write(bytes)))
      .on("close", hangUp)
      .on("error", hangUp);
    upstream
      .on("data", (bytes: Buffer) => {
        move();
        const luck = dice();
        const sent = luck.roll(4) === 0 ? damage(bytes, luck) : bytes;
        for (const piece of pieces(sent, luck)) if (!client.destroyed) client.write(piece);
      })
      .on("close", hangUp)
      .on("error", hangUp);
  });
}

test(`damaged servers, ${CASES / 2} by seed: each request is answered once, and a failed read leaves its buffer alone`, async () => {
  let dice = new Dice(1);
  const between = proxy(() => dice);
  const through = peers.path();
  await new Promise<void>((resolve) => between.listen(through, resolve));
  let failures = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES / 2; seed++) {
    dice = new Dice(seed);
    const opened = await peers.graph
      .open({ driver: "nbd", path: through, export: "kept", connections: 1 + (seed % 2) }, { readOnly: true })
      .catch((error: unknown) => error);
    if (opened instanceof Error) {
      expect(opened.message, `seed ${seed}`).not.toMatch(/\n|assertion|undefined|not a function|Cannot read/);
      failures++;
      continue;
    }
    const node = opened as BlockNode;
    const buffers = [100, 5000, 100_000, 100_000].map((length) => Buffer.alloc(length));
    const outcomes = await Promise.allSettled(buffers.map((buffer) => node.read(900, buffer)));
    for (const [index, { status }] of outcomes.entries()) if (status === "rejected") buffers[index]?.fill(0xee);
    const walk = node.extents()[Symbol.asyncIterator]();
    await walk.next().catch(() => failures++);
    await node[Symbol.asyncDispose]().catch(() => failures++);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") continue;
      failures++;
      expect(outcome.reason, `seed ${seed}`).toMatchObject({ name: "BlockError" });
      expect(
        buffers[index]?.every((byte) => byte === 0xee),
        `seed ${seed}`,
      ).toBe(true);
    }
  }
  expect(failures).toBeGreaterThan(CASES / 50);
  await new Promise((resolve) => between.close(resolve));
}, 600_000);
