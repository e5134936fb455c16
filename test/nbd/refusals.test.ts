/** Servers that refuse, leave or are none: Coblock names the server once, in one line; called qemu-img it says what qemu-img says. */

import { truncateSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Peers } from "./peers.ts";

const BIN = join(import.meta.dirname, "../../packages/cli/bin");
const GREETING = Buffer.from("NBDMAGICIHAVEOPT\0\u0003", "latin1");
const GO = 7;
const ABORT = 2;
const UNSUPPORTED = 0x80000001;
const peers = new Peers();
const servers: Server[] = [];
const heard: number[] = [];

afterAll(async () => {
  for (const server of servers) server.close();
  await peers[Symbol.asyncDispose]();
});

/** A server that says this first, and refuses GO with that error; it hangs up behind the greeting where there is none. */
async function start(name: string, greeting: Buffer, error?: number): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(greeting);
    if (error === undefined) return void socket.end();
    let left = Buffer.alloc(0);
    let isGreeted = false;
    socket.on("data", (bytes: Buffer) => {
      left = Buffer.concat([left, bytes]);
      if (!isGreeted && left.length >= 4) [left, isGreeted] = [left.subarray(4), true];
      while (isGreeted && left.length >= 16 && left.length >= 16 + left.readUInt32BE(12)) {
        const option = left.readUInt32BE(8);
        left = left.subarray(16 + left.readUInt32BE(12));
        heard.push(option);
        socket.write(refusal(option, option === GO ? error : UNSUPPORTED));
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(peers.path(name), resolve));
  return peers.socketUri(name, "disk");
}

function refusal(option: number, error: number): Buffer {
  const reply = Buffer.alloc(20 + 7);
  reply.writeBigUInt64BE(0x3e889045565a9n);
  reply.writeUInt32BE(option, 8);
  reply.writeUInt32BE(error, 12);
  reply.writeUInt32BE(7, 16);
  reply.write("because", 20);
  return reply;
}

it.each([
  ["none.sock", Buffer.from("SSH-2.0-OpenSSH_9.2p1"), undefined, /this is no NBD server/],
  ["mute.sock", Buffer.alloc(0), undefined, /the server closed the connection in front of its greeting/],
  ["short.sock", GREETING, undefined, /the server closed the connection in front of its answer to/],
  ["policy.sock", GREETING, 0x80000002, /the server refuses GO \(POLICY\): because/],
  ["tls.sock", GREETING, 0x80000005, /the server answers GO over TLS alone .*: because/],
  ["unknown.sock", GREETING, 0x80000006, /Requested export 'disk' not available: because/],
  ["ending.sock", GREETING, 0x80000007, /the server refuses GO \(SHUTDOWN\): because/],
])("%s", async (name, greeting, error, words) => {
  const uri = await start(name, greeting, error);
  const [theirs, ours] = await Promise.all([peers.run("qemu-img", ["info", uri]), peers.run(join(BIN, "qemu-img"), ["info", uri])]);
  expect(ours).toEqual(theirs);
  heard.length = 0;
  const { status, stderr } = await peers.run(join(BIN, "coblock"), ["info", uri]);
  expect([status, stderr.split("\n")]).toEqual([1, [expect.stringMatching(words), ""]]);
  expect(stderr.split(peers.path(name))).toHaveLength(2);
  // A client that gives up says so.
  if (error !== undefined) expect(heard.at(-1)).toBe(ABORT);
});

it("`nbd list` is told the same", async () => {
  const uri = await start("list.sock", Buffer.from("HTTP/1.1 400 Bad Request\r\n"));
  const { status, stderr } = await peers.run(join(BIN, "coblock"), ["nbd", "list", uri]);
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^coblock: \S+list\.sock: this is no NBD server[^\n]*\n$/)]);
});

it.each([
  [
    "reads",
    ["pattern", "64k", "error-pread=ENOMEM", "error-pread-rate=1"],
    ["info", "compare -f raw", "convert -f raw", "check -f qcow2", "dd -f raw"],
  ],
  [
    "block status",
    ["memory", "64k", "error-extents=EIO", "error-extents-rate=1"],
    ["map", "map --output=json", "compare", "convert", "measure -O qcow2"],
  ],
])("%s: what fails is told as by qemu-img", async (what, failing, lines) => {
  const socket = `${what.replace(" ", "-")}.sock`;
  const server = await peers.serve("nbdkit", ["-f", "-U", peers.path(socket), "--filter=error", ...failing], socket);
  // A hole and nothing else: disks that are alike throughout are compared in one read, and one can fail first.
  writeFileSync(peers.path("other.raw"), "");
  truncateSync(peers.path("other.raw"), 65_536);
  const uri = peers.socketUri(socket);
  const operands = { compare: [uri, "other.raw"], convert: ["-O", "raw", uri, "copy.raw"], dd: [`if=${uri}`, "of=copy.raw"] };
  for (const line of lines) {
    const [command = "", ...options] = line.split(" ");
    const words = [command, ...options, ...(operands[command as keyof typeof operands] ?? [uri])];
    const theirs = await peers.run("qemu-img", words);
    expect(theirs.status, line).not.toBe(0);
    expect(await peers.run(join(BIN, "qemu-img"), words), line).toEqual(theirs);
  }
  await peers.end(server);
});

it("an export that can only be read is not opened to be written", async () => {
  const server = await peers.serve("nbdkit", ["-f", "-r", "-U", peers.path("read.sock"), "memory", "64k"], "read.sock");
  const words = ["-f", "raw", "-c", "quit", peers.socketUri("read.sock")];
  const theirs = await peers.run("qemu-io", words);
  expect(theirs.stderr).toMatch(/Permission denied/);
  expect(await peers.run(join(BIN, "qemu-io"), words)).toEqual(theirs);
  await peers.end(server);
});
