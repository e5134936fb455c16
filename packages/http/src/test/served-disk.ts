/** A server with a disk whose bytes tell where they are, and a graph that opens it. */

import { BlockGraph, type BlockNode, type OpenOptions } from "@coblock/core";
import { httpDriver, type HttpOptions } from "../entry.ts";
import { HurriedClock } from "./hurried-clock.ts";
import { TestServer } from "./test-server.ts";

/** Each 4 bytes are their own offset, mixed with a seed. */
function tellingBytes(length: number, seed = 0): Uint8Array {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, index) => Math.imul(index + 1, 2_654_435_761) ^ seed);
  return new Uint8Array(words.buffer, 0, length);
}

export class ServedDisk implements AsyncDisposable {
  readonly server: TestServer;
  readonly clock: HurriedClock = new HurriedClock();
  readonly graph: BlockGraph;

  static async start(length: number): Promise<ServedDisk> {
    return new ServedDisk(await TestServer.start(tellingBytes(length)));
  }

  private constructor(server: TestServer) {
    this.server = server;
    this.graph = new BlockGraph({ drivers: [httpDriver], clock: this.clock, secrets: { password: "open sesame", jar: "a=b" } });
  }

  /** With a time limit that a busy machine keeps. */
  open(options: HttpOptions = {}, opening: OpenOptions = {}): Promise<BlockNode> {
    return this.graph.open({ driver: "http", url: this.server.url(), timeout: 50, ...options }, { readOnly: true, ...opening });
  }

  /** Reads, and compares with what the server has. */
  async matches(node: BlockNode, offset: number, length: number, signal?: AbortSignal): Promise<boolean> {
    const into = new Uint8Array(length);
    await node.read(offset, into, { signal });
    return Buffer.from(into).equals(this.server.file.bytes.subarray(offset, offset + length));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.graph[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}
