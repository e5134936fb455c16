/** The program qemu-nbd with real clients: how it starts, serves and ends. */

import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Peers } from "./peers.ts";

const QEMU_NBD = join(import.meta.dirname, "../../packages/cli/bin/qemu-nbd");
const peers = new Peers();
beforeAll(() => peers.makeChain());
afterAll(() => peers[Symbol.asyncDispose]());

/** A raw disk of its own for a test that writes. */
function rawDisk(name: string): string {
  writeFileSync(peers.path(name), Buffer.alloc(1024 * 1024, 0x11));
  return peers.path(name);
}

const at = (socket: string, ...words: readonly string[]): string[] => ["-k", peers.path(socket), ...words];
const serve = (socket: string, ...words: readonly string[]): ReturnType<Peers["serve"]> =>
  peers.serve(QEMU_NBD, at(socket, ...words), socket);
const io = (socket: string, ...commands: readonly string[]): Promise<string> =>
  peers.succeed("qemu-io", ["-f", "raw", ...commands.flatMap((command) => ["-c", command]), peers.socketUri(socket)]);

describe("its end", () => {
  it("without -t it ends when the client that used the disk has left, and takes its socket along", async () => {
    const server = await serve("once.sock", "-r", "-f", "qcow2", peers.path("top.qcow2"));
    const ended = once(server, "close");
    await peers.succeed("nbdinfo", ["--list", peers.socketUri("once.sock")]);
    expect(server.exitCode).toBeNull();
    await peers.succeed("nbdcopy", [peers.socketUri("once.sock"), peers.path("once.raw")]);
    expect(await ended).toEqual([0, null]);
    expect(readFileSync(peers.path("once.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    expect(existsSync(peers.path("once.sock"))).toBe(false);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s ends it in good order, with 0", async (signal) => {
    const server = await serve("signal.sock", "-t", "-f", "raw", rawDisk("signal.raw"));
    await io("signal.sock", "write -P 7 0 64k", "flush");
    const ended = once(server, "close");
    server.kill(signal);
    expect(await ended).toEqual([0, null]);
    expect(readFileSync(peers.path("signal.raw")).subarray(0, 65_537)).toEqual(
      Buffer.concat([Buffer.alloc(65_536, 7), Buffer.from([0x11])]),
    );
  });
});

describe("--fork", () => {
  it("returns when clients can come, although its output is a pipe; the server ends with its client", async () => {
    const words = at("fork.sock", "--fork", "--pid-file", peers.path("pid"), "-x", "disk", "-f", "raw", rawDisk("fork.raw"));
    execFileSync(QEMU_NBD, words, { stdio: ["ignore", "pipe", "pipe"] });
    const pid = Number(readFileSync(peers.path("pid"), "utf8"));
    expect(() => process.kill(pid, 0)).not.toThrow();
    expect(await peers.succeed("nbdinfo", ["--size", peers.socketUri("fork.sock", "disk")])).toBe("1048576\n");
    await expect.poll(() => existsSync(peers.path("fork.sock")), { timeout: 20_000 }).toBe(false);
  });

  it("a server that cannot start is told as if there were none", () => {
    const { status, stderr } = spawnSync(QEMU_NBD, at("none.sock", "--fork", "-f", "raw", peers.path("none")), { encoding: "utf8" });
    const message = `Failed to blk_new_open '${peers.path("none")}': Could not open '${peers.path("none")}': No such file or directory`;
    expect([status, stderr]).toEqual([1, `qemu-nbd: ${message}\n`]);
  });
});

describe("what it serves", () => {
  it("--list tells of an export what the real program tells, of its own server and of the real one", async () => {
    execFileSync("qemu-img", ["bitmap", "--add", peers.path("base.qcow2"), "b0"]);
    const words = ["-t", "-e", "3", "-A", "-B", "b0", "-x", "foo", "-D", "a disk", "-f", "qcow2", peers.path("base.qcow2")];
    const ours = await serve("list.sock", ...words);
    const list = [...at("list.sock"), "-L"];
    const told = await peers.succeed("qemu-nbd", list);
    expect(told).toContain("qemu:dirty-bitmap:b0");
    expect(await peers.succeed(QEMU_NBD, list)).toBe(told);
    await peers.end(ours);
    const theirs = await peers.serve("qemu-nbd", at("list.sock", ...words), "list.sock");
    expect(await peers.succeed("qemu-nbd", list)).toBe(told);
    expect(await peers.succeed(QEMU_NBD, list)).toBe(told);
    await peers.end(theirs);
  });

  it("-s keeps changes away from the image; -o begins within it; -l is a snapshot of it, read-only", async () => {
    const disk = rawDisk("kept.raw");
    let server = await serve("kept.sock", "-t", "-s", "-f", "raw", disk);
    await io("kept.sock", "write -P 9 0 64k");
    expect(await io("kept.sock", "read -P 9 0 64k")).not.toContain("failed");
    await peers.end(server);
    expect(readFileSync(disk).equals(Buffer.alloc(1024 * 1024, 0x11))).toBe(true);
    server = await serve("kept.sock", "-t", "-o", "65536", "-f", "raw", disk);
    expect(await io("kept.sock", "length", "write -P 9 0 1k")).toContain("960 KiB");
    await peers.end(server);
    expect(readFileSync(disk).indexOf(9)).toBe(65_536);
    execFileSync("qemu-img", ["convert", "-O", "qcow2", disk, peers.path("state.qcow2")]);
    execFileSync("qemu-img", ["snapshot", "-c", "before", peers.path("state.qcow2")]);
    execFileSync("qemu-io", ["-c", "write -P 5 0 64k", peers.path("state.qcow2")]);
    server = await serve("kept.sock", "-t", "-l", "snapshot.name=before", "-f", "qcow2", peers.path("state.qcow2"));
    await peers.succeed("nbdcopy", [peers.socketUri("kept.sock"), peers.path("before.raw")]);
    expect(await peers.succeed("nbdinfo", [peers.socketUri("kept.sock")])).toContain("is_read_only: true");
    await peers.end(server);
    expect(readFileSync(peers.path("before.raw")).equals(readFileSync(disk))).toBe(true);
  });

  it("--detect-zeroes=unmap gives the space of zeros back", async () => {
    const disk = rawDisk("zeros.raw");
    const server = await serve("zeros.sock", "-t", "--discard=unmap", "--detect-zeroes=unmap", "-f", "raw", disk);
    await io("zeros.sock", "write -P 0 64k 128k", "flush");
    await peers.end(server);
    const map = JSON.parse(execFileSync("qemu-img", ["map", "--output=json", "-f", "raw", disk], { encoding: "utf8" })) as unknown;
    expect(map).toMatchObject([{ data: true }, { start: 65_536, length: 131_072, data: false }, { data: true }]);
  });

  it.each([
    ["writeback", 0],
    ["writethrough", 1],
  ])("--cache=%s: a write that nobody asked to be stable meets a flush that fails, or not", async (mode, status) => {
    const disk = `driver=raw,file.driver=blkdebug,file.image.filename=${rawDisk("through.raw")},file.inject-error.0.event=none,file.inject-error.0.iotype=flush`;
    const server = await serve("through.sock", "-t", `--cache=${mode}`, "--image-opts", disk);
    const script = "h.pwrite(bytes(512), 0)";
    const ended = await peers.run("nbdsh", ["-u", peers.socketUri("through.sock"), "-c", script]);
    expect(ended.status, ended.stderr).toBe(status);
    await peers.end(server);
  });

  it("a client beyond -e waits, and has its turn when another leaves", async () => {
    const server = await serve("turn.sock", "-t", "-r", "-f", "raw", rawDisk("turn.raw"));
    const first = connect(peers.path("turn.sock"));
    await once(first, "data");
    const second = connect(peers.path("turn.sock"));
    const greeted = once(second, "data");
    expect(await Promise.race([greeted, peers.run("nbdinfo", ["--version"]).then(() => "waits")])).toBe("waits");
    first.destroy();
    expect(String(((await greeted) as [Buffer])[0])).toContain("NBDMAGIC");
    second.destroy();
    expect(await peers.succeed("nbdinfo", [peers.socketUri("turn.sock")])).toContain("can_multi_conn: false");
    await peers.end(server);
  });

  it("--tls-creds: a client with the key is served, one without learns nothing", async () => {
    writeFileSync(peers.path("keys.psk"), `alice:${"5a".repeat(32)}\n`);
    const tls = ["--object", `tls-creds-psk,id=t0,endpoint=server,dir=${peers.folder}`, "--tls-creds=t0"];
    const server = await serve("tls.sock", "-t", ...tls, "-f", "raw", rawDisk("tls.raw"));
    const secure = `nbds+unix://alice@/?socket=${peers.path("tls.sock")}&tls-psk-file=${peers.path("keys.psk")}`;
    expect(await peers.succeed("nbdinfo", ["--size", secure])).toBe("1048576\n");
    expect((await peers.run("nbdinfo", ["--size", peers.socketUri("tls.sock")])).status).not.toBe(0);
    const list = ["-L", "-k", peers.path("tls.sock")];
    const refused = await peers.run("qemu-nbd", list);
    expect(refused.stderr).toMatch(/TLS negotiation required/);
    expect(await peers.run(QEMU_NBD, list)).toEqual(refused);
    await peers.end(server);
  });
});
