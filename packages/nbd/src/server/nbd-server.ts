/** An NBD server: serves nodes to whoever connects, on a Unix socket, on TCP or on connections that were made elsewhere. */

import { BlockError, type Clock, errnoWords, SystemClock } from "@coblock/core";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { BufferPool } from "../transport/buffer-pool.ts";
import { Channel } from "../transport/channel.ts";
import { socketWords } from "../transport/dial.ts";
import { acceptDirectly } from "../transport/direct-channel.ts";
import { prepareServerTls, type ServerTls, type StartServerTls } from "../transport/tls.ts";
import { HEADROOM } from "./reply-writer.ts";
import { exportFlags, type NbdExport, type OpenExport, ServedExport } from "./served-export.ts";
import { ServerConnection, type ConnectionParts } from "./server-connection.ts";
import type { NbdServerEvent } from "./server-event.ts";
import type { Traffic } from "./transmission.ts";

/** Where clients find a server. TCP is on the loopback address unless `host` says otherwise; port 0 takes a free one. */
export type NbdAddress = { readonly path: string } | { readonly host?: string; readonly port?: number };

/** What a server serves, where, and how much of it one client may take. */
export interface NbdServerOptions {
  /** Absent: clients come by `serve` and `attach` alone. */
  readonly listen?: NbdAddress;
  readonly exports: readonly NbdExport[];
  readonly tls?: ServerTls | undefined;
  /** Connections at one time. Default 100. */
  readonly maxConnections?: number;
  /** What becomes of further ones: they are closed at once, or wait for their turn, 100 of them at most. Default "refuse". */
  readonly whenFull?: "refuse" | "wait";
  /** Requests in flight on one connection. Default 128. */
  readonly maxRequests?: number;
  /** Bytes of data in memory for one connection; one request may go beyond it alone. Default 64 MiB. */
  readonly maxMemory?: number;
  /** Default 10,000. */
  readonly handshakeTimeoutMs?: number;
  /** A client that owes bytes, or takes none, is cut off after this time. Default 300,000. */
  readonly stallTimeoutMs?: number;
  /** Clients that do not take the replies of what is in flight hold up `close` no longer. Default 10,000. */
  readonly closeTimeoutMs?: number;
  readonly clock?: Clock;
  readonly onEvent?: (event: NbdServerEvent) => void;
}

/** What somebody must be told who skips the handshake. */
export interface AttachedExport {
  /** Bytes. */
  readonly size: number;
  /** The transmission flags, as proto.md numbers them. */
  readonly flags: number;
  /** Bytes. */
  readonly minimumBlockSize: number;
}

const DEFAULT_PORT = 10_809;
const MAX_WAITING = 100;
const LOOPBACK = "127.0.0.1";

/** Nodes stay their owners'; disposing the server does not close them. */
export class NbdServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #exports: ReadonlyMap<string, ServedExport>;
  readonly #connections: Map<ServerConnection, Promise<void>> = new Map();
  readonly #parts: ConnectionParts;
  readonly #closeTimeoutMs: number;
  readonly #maxConnections: number;
  readonly #maxWaiting: number;
  /** Who waits for a turn, not greeted yet. */
  readonly #waiting: Socket[] = [];
  #closing: Promise<void> | undefined;
  #count = 0;

  private constructor(options: NbdServerOptions, exports: ReadonlyMap<string, ServedExport>, startTls: StartServerTls | undefined) {
    const { tls, clock = new SystemClock(), onEvent = () => {} } = options;
    this.#exports = exports;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? 10_000;
    this.#parts = {
      rules: { exports, startTls, tlsRequired: tls !== undefined && (tls.required ?? true) },
      limits: { maxRequests: options.maxRequests ?? 128, maxMemory: options.maxMemory ?? 64 * 1024 * 1024 },
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
      stallTimeoutMs: options.stallTimeoutMs ?? 300_000,
      pool: new BufferPool(HEADROOM),
      clock,
      report: onEvent,
    };
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => this.#arrived(socket));
    this.#maxConnections = options.maxConnections ?? 100;
    this.#maxWaiting = options.whenFull === "wait" ? MAX_WAITING : 0;
  }

  /**
   * Opens the exports that are given as nodes and listens. Throws INVALID_OPTION for exports that do not fit and for two of one name, and IO
   * where the address cannot be had.
   */
  static async start(options: NbdServerOptions): Promise<NbdServer> {
    const exports = new Map<string, ServedExport>();
    for (const one of options.exports) {
      if (exports.has(one.name)) throw new BlockError("INVALID_OPTION", `two exports are called '${one.name}'`);
      exports.set(one.name, new ServedExport(one));
    }
    const { tls, clock = new SystemClock() } = options;
    // Ready before a client comes: what it sends behind STARTTLS must find TLS there.
    const startTls = tls && (await prepareServerTls(tls, clock));
    const server = new NbdServer({ ...options, clock }, exports, startTls);
    try {
      for (const { name, node } of options.exports) if (typeof node !== "function") await exports.get(name)?.open();
      if (options.listen !== undefined) await server.#listen(options.listen);
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  /** Where it listens. Throws CLOSED where it does not. */
  get address(): { readonly path: string } | { readonly host: string; readonly port: number } {
    const address = this.#server.address();
    if (address === null) throw new BlockError("CLOSED", "the NBD server does not listen");
    return typeof address === "string" ? { path: address } : { host: address.address, port: address.port };
  }

  /** What a client is told to open, `nbd://127.0.0.1:10809/name` or `nbd+unix:///name?socket=/path`. */
  uri(exportName = ""): string {
    const { address } = this;
    const scheme = this.#parts.rules.tlsRequired ? "nbds" : "nbd";
    const path = exportName.split("/").map(encodeURIComponent).join("/");
    if ("path" in address) return `${scheme}+unix:///${path}?socket=${encodeURIComponent(address.path).replaceAll("%2F", "/")}`;
    const host = address.host.includes(":") ? `[${address.host}]` : address.host;
    return `${scheme}://${host}:${address.port}/${path}`;
  }

  /** Who is connected, and what was moved. */
  get connections(): readonly { readonly client: string; readonly traffic: Readonly<Traffic> }[] {
    return [...this.#connections.keys()];
  }

  /** Serves a client on a connection that was made elsewhere, beside those that found the server; ends with it, and reports as for all. */
  serve(stream: Duplex): Promise<void> {
    return this.#accept(new Channel(stream, this.#parts.clock), "");
  }

  /**
   * Serves a client that knows its export and goes without a handshake, with simple replies: the kernel. Throws NOT_FOUND for an unknown
   * export, and what opening it throws; the stream is then as it was.
   */
  async attach(stream: Duplex, exportName: string): Promise<AttachedExport> {
    const served = await this.#exports.get(exportName)?.open();
    if (served === undefined) throw new BlockError("NOT_FOUND", `export '${exportName}' is not present`);
    void this.#accept(new Channel(stream, this.#parts.clock), "", served);
    return { size: served.size, flags: exportFlags(served, "simple"), minimumBlockSize: served.blockSizes.minimum };
  }

  /** Listens no more, cuts off who is still negotiating, and ends when what is in flight has been answered. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #listen(listen: NbdAddress): Promise<void> {
    return new Promise((resolve, reject) => {
      const where = "path" in listen ? listen.path : `${listen.host ?? LOOPBACK}:${listen.port ?? DEFAULT_PORT}`;
      this.#server.once("error", (cause: NodeJS.ErrnoException) => {
        // Node says EACCES where there is no such folder.
        const isNowhere = cause.code === "EACCES" && "path" in listen && !existsSync(dirname(listen.path));
        const words = isNowhere ? errnoWords("ENOENT") : socketWords(cause);
        reject(new BlockError("IO", `Could not listen on ${where}: ${words}`, { cause }));
      });
      if ("path" in listen) this.#server.listen(listen.path, resolve);
      else this.#server.listen(listen.port ?? DEFAULT_PORT, listen.host ?? LOOPBACK, resolve);
    });
  }

  #arrived(socket: Socket): void {
    if (this.#connections.size < this.#maxConnections || this.#closing !== undefined) return this.#welcome(socket);
    socket.on("error", () => {});
    if (this.#waiting.length < this.#maxWaiting) return void this.#waiting.push(socket);
    socket.destroy();
    this.#parts.report({ kind: "refused", client: "a client", reason: "there are too many connections" });
  }

  #ended(connection: ServerConnection): void {
    this.#connections.delete(connection);
    const next = this.#waiting.find((socket) => !socket.destroyed);
    this.#waiting.splice(0, next === undefined ? this.#waiting.length : this.#waiting.indexOf(next) + 1);
    if (next !== undefined) this.#welcome(next);
  }

  /** TLS wants to read the socket itself. */
  #welcome(socket: Socket): void {
    const place = socket.remoteAddress === undefined ? "" : ` (${socket.remoteAddress}:${socket.remotePort})`;
    const { clock, rules } = this.#parts;
    const direct = rules.startTls === undefined ? acceptDirectly(socket, clock) : undefined;
    void this.#accept(direct ?? new Channel(socket, clock), place);
    if (direct === undefined) socket.resume();
  }

  #accept(channel: Channel, place: string, known?: OpenExport): Promise<void> {
    const connection = new ServerConnection(channel, `client ${++this.#count}${place}`, this.#parts, known);
    if (this.#closing !== undefined) connection.stop();
    const ended = connection.run().finally(() => this.#ended(connection));
    this.#connections.set(connection, ended);
    return ended;
  }

  async #close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    const connections = [...this.#connections.keys()];
    for (const connection of connections) connection.stop();
    {
      using _limit = this.#parts.clock.schedule(this.#closeTimeoutMs, () => {
        for (const connection of connections) connection.destroy();
      });
      await Promise.all(this.#connections.values());
    }
    await stopped;
    for (const served of this.#exports.values()) await served[Symbol.asyncDispose]();
  }
}
