/** A web server that knows ranges and conditions, and does wrong what a test asks it to. */

import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** What a request asked for; `number` counts from 0. */
export interface Asked {
  readonly number: number;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly offset: number;
  readonly length: number;
}

/** How an answer differs from the right one. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: OutgoingHttpHeaders }
  | { readonly kind: "headers"; readonly headers: OutgoingHttpHeaders }
  /** Exactly these bytes, and the end. */
  | { readonly kind: "raw"; readonly text: string }
  /** The connection is cut when so many bytes of the body are out; below 0: before the head. */
  | { readonly kind: "cut"; readonly after: number }
  /** So many bytes of the body, and then nothing more. */
  | { readonly kind: "stall"; readonly after: number }
  | { readonly kind: "trickle"; readonly everyMs: number }
  /** A range that begins or ends elsewhere, said so, with bytes to match. */
  | { readonly kind: "range"; readonly shift: number; readonly extend: number }
  | { readonly kind: "whole" }
  /** With no Content-Length; `extra`: bytes behind what the head promised. */
  | { readonly kind: "chunked"; readonly extra: number };

/** What the server has. */
export interface ServedFile {
  bytes: Uint8Array;
  etag: string | undefined;
  lastModified: string | undefined;
}

type Plan = (asked: Asked) => Fault | undefined;

export class TestServer implements AsyncDisposable {
  readonly file: ServedFile;
  readonly asked: Asked[] = [];
  plan: Plan = () => undefined;
  /** Nothing is answered before it is fulfilled. */
  gate: Promise<void> = Promise.resolve();
  /** Bytes of bodies. */
  sent = 0;
  /** Requests under way, and the most there were. */
  inFlight = 0;
  mostInFlight = 0;
  readonly sockets: Set<Socket> = new Set();
  accepted = 0;
  readonly #server: Server;

  static async start(bytes: Uint8Array): Promise<TestServer> {
    const server = new TestServer({ bytes, etag: '"first"', lastModified: "Mon, 02 Nov 2026 10:00:00 GMT" });
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  private constructor(file: ServedFile) {
    this.file = file;
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on("connection", (socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.sockets.delete(socket));
    });
  }

  url(path = "/disk.raw"): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  /** All connections that there were are closed. */
  async idle(): Promise<void> {
    await Promise.all([...this.sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { bytes } = this.file;
    const [, first = 0, last = bytes.length - 1] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
    const length = Math.min(last + 1, bytes.length) - first;
    const asked = { number: this.asked.length, path: request.url ?? "", headers: request.headers, offset: first, length };
    this.asked.push(asked);
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    response.once("close", () => this.inFlight--);
    response.on("error", () => {});
    void this.gate.then(() => this.#answer(asked, this.plan(asked), response));
  }

  #answer(asked: Asked, fault: Fault | undefined, response: ServerResponse): void {
    const { bytes, etag, lastModified } = this.file;
    const version = { ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { "last-modified": lastModified }) };
    if (fault?.kind === "status") return void response.writeHead(fault.status, fault.headers).end();
    if (fault?.kind === "raw") return void response.socket?.end(fault.text);
    if (fault?.kind === "cut" && fault.after < 0) return void response.socket?.resetAndDestroy();
    if (fault?.kind === "stall" && fault.after < 0) return;
    if (fault?.kind === "whole" || asked.headers.range === undefined)
      return void response.writeHead(200, { ...version, "content-length": bytes.length }).end(bytes);
    if (this.#refuses(asked)) return void response.writeHead(412, version).end();
    if (asked.length <= 0) return void response.writeHead(416, { ...version, "content-range": `bytes */${bytes.length}` }).end();
    const offset = asked.offset + (fault?.kind === "range" ? fault.shift : 0);
    const length = asked.length + (fault?.kind === "range" ? fault.extend : 0);
    response.statusCode = 206;
    const headers = {
      ...version,
      "content-range": `bytes ${offset}-${offset + length - 1}/${bytes.length}`,
      ...(fault?.kind === "chunked" ? {} : { "content-length": length }),
      ...(fault?.kind === "headers" ? fault.headers : {}),
    };
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    this.#send(bytes.subarray(offset, offset + length), fault, response);
  }

  #send(body: Uint8Array, fault: Fault | undefined, response: ServerResponse): void {
    const count = (part: Uint8Array): Uint8Array => {
      this.sent += part.length;
      return part;
    };
    if (fault?.kind === "cut") response.write(count(body.subarray(0, fault.after)), () => response.socket?.resetAndDestroy());
    else if (fault?.kind === "stall") response.write(count(body.subarray(0, fault.after)));
    else if (fault?.kind === "trickle") this.#trickle(body, fault.everyMs, response);
    else if (fault?.kind === "chunked") response.write(count(body), () => response.end(new Uint8Array(fault.extra)));
    else response.end(count(body));
  }

  #trickle(body: Uint8Array, everyMs: number, response: ServerResponse): void {
    let at = 0;
    const timer = setInterval(() => response.write(body.subarray(at, ++at)), everyMs);
    response.once("close", () => clearInterval(timer));
  }

  #refuses({ headers }: Asked): boolean {
    const match = headers["if-match"];
    const since = headers["if-unmodified-since"];
    if (match !== undefined) return match !== this.file.etag;
    return since !== undefined && Date.parse(this.file.lastModified ?? "") > Date.parse(since);
  }
}
