/** One connection, a socket or another stream of both directions, with what comes in and what goes out. */

import type { Clock } from "@coblock/core";
import type { Duplex } from "node:stream";
import { ByteStream } from "./byte-stream.ts";
import { ConnectionLost } from "./connection-lost.ts";
import { Outbox } from "./outbox.ts";

/** Both directions of a connection. */
export class Channel {
  readonly socket: Duplex;
  readonly stream: ByteStream;
  readonly outbox: Outbox;
  readonly closed: Promise<void>;
  readonly #detach: () => void;

  /** `stream`: one that the socket fills directly. */
  constructor(socket: Duplex, clock: Clock, stream?: ByteStream) {
    this.socket = socket;
    this.outbox = new Outbox(socket, clock);
    this.stream = stream ?? new ByteStream(socket);
    this.closed = socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once("close", () => resolve()));
    const data = (chunk: Buffer): void => this.#receive(chunk);
    const end = (): void => this.stream.end();
    const error = (cause: Error): void => this.stream.end(new ConnectionLost(`the connection failed: ${cause.message}`, { cause }));
    const close = (): void => this.stream.end(new ConnectionLost("the connection was closed"));
    socket.on("end", end).on("error", error).on("close", close);
    if (stream === undefined) socket.on("data", data);
    if (socket.closed) close();
    this.#detach = () => socket.off("data", data).off("end", end).off("error", error).off("close", close);
  }

  /** Sends now; for the handshake, which waits for each answer. */
  send(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.outbox.push(piece);
    this.outbox.flush();
  }

  /** Leaves the socket to somebody else, who reads what comes from now on. Bytes that were read and not asked for are lost. */
  release(): Duplex {
    this.socket.pause();
    this.#detach();
    this.socket.on("error", () => {});
    return this.socket;
  }

  /** Sends what is left and says goodbye; `sent` is called when the system has it. The peer's goodbye is waited for by `closed`. */
  finish(sent?: () => void): void {
    this.outbox.flush();
    this.socket.end(sent);
  }

  /** Cuts the connection at once. */
  destroy(error?: Error): void {
    this.stream.end(error);
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      this.stream.receive(chunk);
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
