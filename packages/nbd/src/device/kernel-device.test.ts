import { BlockGraph, type BlockNode, loadHostCalls, memoryDriver } from "@coblock/core";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COMMAND, COMMAND_FLAG, EXPORT_FLAG } from "../protocol/codes.ts";
import { NbdServer } from "../server/nbd-server.ts";
import { RawClient } from "../test/raw-peer.ts";
import { disconnectDevice, KernelDevice, type DeviceCalls } from "./kernel-device.ts";

const SIZE = 1024 * 1024 + 100;
const REQUESTS = [
  "SET_SOCK",
  "SET_BLKSIZE",
  "SET_SIZE",
  "DO_IT",
  "CLEAR_SOCK",
  "CLEAR_QUE",
  "PRINT_DEBUG",
  "SET_SIZE_BLOCKS",
  "DISCONNECT",
];
const host = await loadHostCalls();
const folder = mkdtempSync(join(tmpdir(), "coblock-device-"));
const device = join(folder, "nbd0");
const graph = new BlockGraph({ drivers: [memoryDriver] });
let node: BlockNode;

beforeAll(async () => {
  writeFileSync(device, "");
  node = await graph.open({ driver: "memory", size: SIZE });
});
afterAll(async () => {
  await graph[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** What the kernel does with a device, as far as requests to it can tell: its socket is a real one. */
class FakeKernel implements DeviceCalls {
  readonly log: string[] = [];
  /** The request that fails, by name. */
  failing: string | undefined;
  #socket: RawClient | undefined;
  #token = -1;
  #end: (result: number) => void = () => {};

  readonly socketPair: DeviceCalls["socketPair"] = () => {
    const pair = host.socketPair?.();
    if (typeof pair !== "object") throw new Error("this host has no pairs of sockets");
    const [own, kernels] = pair;
    this.#socket = new RawClient(new Socket({ fd: kernels, readable: true, writable: true }));
    // The kernel has a reference of its own; whoever gave it the socket may close theirs.
    this.#token = openSync("/dev/null", "r");
    return [own, this.#token];
  };

  readonly controlInPool: DeviceCalls["controlInPool"] = async (_fd, request, argument) => {
    const name = REQUESTS[request - 0xab00] ?? (request === 0xab0a ? "SET_FLAGS" : `request ${request}`);
    this.log.push(argument === 0 || name === "SET_SOCK" ? name : `${name} ${argument}`);
    if (name === this.failing) return -constants.errno.EBUSY;
    if (name === "SET_SOCK") return argument === this.#token ? 0 : -constants.errno.EINVAL;
    if (name === "DISCONNECT") {
      this.socket.request({ command: COMMAND.disconnect });
      this.#end(-constants.errno.EPIPE);
    }
    if (name === "CLEAR_SOCK") this.#socket?.socket.destroy();
    return name === "DO_IT" ? new Promise<number>((resolve) => (this.#end = resolve)) : 0;
  };

  get socket(): RawClient {
    if (this.#socket === undefined) throw new Error("the kernel has no socket");
    return this.#socket;
  }

  /** The kernel lets go, as when the connection ends. */
  end(result: number): void {
    this.#end(result);
  }
}

const start = (writable = true): Promise<NbdServer> =>
  NbdServer.start({ exports: [{ name: "disk", node, writable, minimumBlockSize: 1 }] });

describe.skipIf(host.socketPair === undefined)("a device", () => {
  test("is told its size in sectors and what it can do; the kernel reads and writes with simple replies and without a handshake", async () => {
    const kernel = new FakeKernel();
    await using server = await start();
    await using connected = await KernelDevice.connect({ path: device, server, exportName: "disk", calls: kernel });
    const flags = EXPORT_FLAG.hasFlags + EXPORT_FLAG.flush + EXPORT_FLAG.forceUnitAccess + EXPORT_FLAG.trim + EXPORT_FLAG.writeZeroes;
    const more = EXPORT_FLAG.multiConnection + EXPORT_FLAG.cache + EXPORT_FLAG.fastZero;
    expect(kernel.log).toEqual(["SET_SOCK", "SET_BLKSIZE 512", "SET_SIZE_BLOCKS 2048", `SET_FLAGS ${flags + more}`, "DO_IT"]);
    const { socket } = kernel;
    socket.request({ command: COMMAND.write, flags: COMMAND_FLAG.forceUnitAccess, offset: 4096, length: 512 }, Buffer.alloc(512, 7));
    expect(await socket.errno()).toBe(0);
    socket.request({ command: COMMAND.read, offset: 4096, length: 512 });
    expect(await socket.errno(512)).toBe(0);
    socket.request({ command: COMMAND.trim, offset: 8192, length: 4096 });
    expect(await socket.errno()).toBe(0);
    socket.request({ command: COMMAND.flush });
    expect(await socket.errno()).toBe(0);
    const written = Buffer.alloc(512);
    await node.read(4096, written);
    expect(written.equals(Buffer.alloc(512, 7))).toBe(true);
    await connected[Symbol.asyncDispose]();
    expect(kernel.log.slice(5)).toEqual(["DISCONNECT", "CLEAR_QUE", "CLEAR_SOCK"]);
    await connected[Symbol.asyncDispose]();
    expect(kernel.log).toHaveLength(8);
  });

  test("of a disk that can only be read is read-only", async () => {
    const kernel = new FakeKernel();
    await using server = await start(false);
    await using _device = await KernelDevice.connect({ path: device, server, exportName: "disk", calls: kernel });
    const [, flags] = /SET_FLAGS (\d+)/.exec(kernel.log.join("\n")) ?? [];
    expect(Number(flags) & EXPORT_FLAG.readOnly).toBe(EXPORT_FLAG.readOnly);
  });

  test("that the kernel gives up ends, in one line", async () => {
    const kernel = new FakeKernel();
    await using server = await start();
    await using connected = await KernelDevice.connect({ path: device, server, exportName: "disk", calls: kernel });
    kernel.end(-constants.errno.ETIMEDOUT);
    await expect(connected.gone).rejects.toThrow(`the kernel no longer serves ${device}: Connection timed out`);
    expect(kernel.log.slice(-2)).toEqual(["CLEAR_QUE", "CLEAR_SOCK"]);
  });

  test.each(["SET_SOCK", "SET_BLKSIZE", "SET_SIZE_BLOCKS", "SET_FLAGS"])("that refuses %s is left as it was", async (failing) => {
    const kernel = new FakeKernel();
    kernel.failing = failing;
    await using server = await start();
    const connecting = KernelDevice.connect({ path: device, server, exportName: "disk", calls: kernel });
    await expect(connecting).rejects.toMatchObject({
      code: "IO",
      message: expect.stringMatching(/^Failed .*: Device or resource busy$/) as unknown,
    });
    expect(kernel.log.at(-1)).toBe("CLEAR_SOCK");
  });

  test("is not connected for an export that is not there", async () => {
    const kernel = new FakeKernel();
    await using server = await start();
    await expect(KernelDevice.connect({ path: device, server, exportName: "nothing", calls: kernel })).rejects.toThrow(
      "'nothing' is not present",
    );
  });

  test("is taken away from whichever process serves it", async () => {
    const kernel = new FakeKernel();
    closeSync((kernel.socketPair() as readonly [number, number])[0]);
    await disconnectDevice(device, kernel);
    expect(kernel.log).toEqual(["CLEAR_QUE", "DISCONNECT", "CLEAR_SOCK"]);
  });

  test("that is not there, or no device of this kind, is told as qemu-nbd tells it", async () => {
    await using server = await start();
    const options = { path: "/dev/nbd-none", server, exportName: "disk" };
    await expect(KernelDevice.connect(options)).rejects.toThrow("Failed to open /dev/nbd-none: No such file or directory");
    await expect(disconnectDevice("/dev/nbd-none")).rejects.toThrow("Cannot open /dev/nbd-none: No such file or directory");
    await expect(KernelDevice.connect({ ...options, path: device })).rejects.toThrow("Failed to set NBD socket: ");
  });
});
