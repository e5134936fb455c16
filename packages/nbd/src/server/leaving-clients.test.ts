import { afterAll, beforeAll, expect, test } from "vitest";
import { type BlockNode, SystemClock } from "@coblock/core";
import { COMMAND } from "../protocol/codes.ts";
import { ERRNO } from "../protocol/error-number.ts";
import { encodeRequest } from "../protocol/request.ts";
import { RawPeers } from "../test/raw-peer.ts";
import { NbdServer } from "./nbd-server.ts";

const SIZE = 8 * 1024 * 1024;
const NOBODY = { flags: 0, cookieHigh: 1, cookieLow: 2, offset: 0, length: 0 };
const peers = new RawPeers();
let node: BlockNode;

beforeAll(async () => {
  node = await peers.graph.open({ driver: "memory", size: SIZE });
});
afterAll(() => peers[Symbol.asyncDispose]());

async function serve(): Promise<{ server: NbdServer; path: string }> {
  const path = peers.path();
  const server = await NbdServer.start({ listen: { path }, exports: [{ name: "", node, writable: true }], closeTimeoutMs: 3_600_000 });
  return { server, path };
}

test("a client that says goodbye and stays keeps its place no longer, nor does one that does not notice the server's end", async () => {
  const { server, path } = await serve();
  const stays = { stays: true };
  const [polite, idle] = [await (await peers.client(path, stays)).go(), await (await peers.client(path, stays)).go()];
  polite.request({ command: COMMAND.disconnect });
  while (server.connections.length > 1) await new SystemClock().yield();
  idle.request({ command: COMMAND.read, length: 512 });
  while (server.connections[0]?.traffic.requests === 0) await new SystemClock().yield();
  await server.close();
  expect(await idle.errno(512)).toBe(0);
});

test("replies without data count, too: a client that takes none is asked for no more, and then gets all", async () => {
  const count = 60_000;
  const { server, path } = await serve();
  const client = await (await peers.client(path)).go();
  const clock = new SystemClock();
  client.socket.pause();
  client.send(Buffer.concat(Array.from({ length: count }, () => encodeRequest({ ...NOBODY, command: COMMAND.flush }, false))));
  const taken = (): number => server.connections[0]?.traffic.requests ?? 0;
  for (let still = 0, before = -1; still < 50; still = taken() === before ? still + 1 : 0) {
    before = taken();
    await clock.yield();
  }
  expect(taken()).toBeLessThan(count / 2);
  client.socket.resume();
  for (let index = 0; index < count; index++) expect(await client.errno()).toBe(0);
  await server.close();
});

test("the cache is filled for nobody: neither behind a goodbye nor at the server's end", async () => {
  const read = node.read.bind(node);
  const cache = encodeRequest({ ...NOBODY, command: COMMAND.cache, length: SIZE }, false);
  const pieces = async (
    leave: (server: NbdServer) => void,
    behind: Buffer = Buffer.alloc(0),
  ): Promise<{ count: number; errno: number | undefined }> => {
    const { server, path } = await serve();
    const client = await (await peers.client(path)).go();
    let count = 0;
    node.read = async (...words) => {
      if (count++ === 0) leave(server);
      await new SystemClock().yield();
      await read(...words);
    };
    client.send(cache, behind);
    const errno = await client.errno();
    await server.close();
    node.read = read;
    return { count, errno };
  };
  const goodbye = encodeRequest({ ...NOBODY, command: COMMAND.disconnect }, false);
  const given = { count: 1, errno: ERRNO.shutdown };
  expect(await pieces(() => {})).toEqual({ count: 8, errno: 0 });
  expect(await pieces(() => {}, goodbye)).toEqual(given);
  expect(await pieces((server) => void server.close())).toEqual(given);
});
