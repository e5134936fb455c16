/** A web server over a folder that knows ranges, and counts what it sends. */

import { open } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";

/** PEM. */
export interface ServerIdentity {
  readonly key: Buffer;
  readonly cert: Buffer;
}

export class FileServer implements AsyncDisposable {
  readonly #folder: string;
  readonly #scheme: "http" | "https";
  readonly #server: ReturnType<typeof createServer>;
  /** Of all bodies, bytes. */
  sent = 0;
  requests = 0;
  /** What a request must say to be let in, `user:password`. */
  credentials: string | undefined;

  static async start(folder: string, identity?: ServerIdentity): Promise<FileServer> {
    const server = new FileServer(folder, identity);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  private constructor(folder: string, identity: ServerIdentity | undefined) {
    this.#folder = folder;
    this.#scheme = identity === undefined ? "http" : "https";
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = identity === undefined ? createServer(listener) : createSecureServer(identity, listener);
  }

  url(name: string): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}`;
  }

  /** Bytes and requests that `work` made the server send. */
  async count(work: () => Promise<unknown>): Promise<{ readonly sent: number; readonly requests: number }> {
    const before = { sent: this.sent, requests: this.requests };
    await work();
    return { sent: this.sent - before.sent, requests: this.requests - before.requests };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests++;
    // On a connection that is kept, QEMU 7.2 misses answers that come at once, and waits for ever. It asks for none; our client does.
    response.shouldKeepAlive = request.headers.connection === "keep-alive";
    const expected = this.credentials === undefined ? undefined : `Basic ${Buffer.from(this.credentials).toString("base64")}`;
    if (request.headers.authorization !== expected) return void response.writeHead(401).end();
    await using file = await open(join(this.#folder, basename(request.url ?? ""))).catch(() => undefined);
    if (file === undefined) return void response.writeHead(404).end();
    const { size, mtime } = await file.stat();
    const version = { "last-modified": mtime.toUTCString(), "accept-ranges": "bytes" };
    if (request.method === "HEAD") return void response.writeHead(200, { ...version, "content-length": size }).end();
    const [, first = 0, last = size - 1] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
    const length = Math.max(0, Math.min(last + 1, size) - first);
    if (length === 0) return void response.writeHead(416, { ...version, "content-range": `bytes */${size}` }).end();
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, first);
    this.sent += length;
    response.writeHead(206, { ...version, "content-range": `bytes ${first}-${first + length - 1}/${size}`, "content-length": length });
    response.end(bytes);
  }
}
