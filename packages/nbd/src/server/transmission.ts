/** The server's side of a connection after the handshake: takes requests, several at a time, and ends in good order. */

import { CoQueue } from "@coblock/core";
import { COMMAND, MAX_PAYLOAD_LENGTH } from "../protocol/codes.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import { COMPACT_REQUEST_LENGTH, decodeRequest, EXTENDED_REQUEST_LENGTH, type RequestHeader } from "../protocol/request.ts";
import type { BufferPool } from "../transport/buffer-pool.ts";
import type { Channel } from "../transport/channel.ts";
import type { Agreement } from "./handshake.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { hasPayload, RequestServer } from "./request-server.ts";

/** What one client may take. */
export interface TransmissionLimits {
  /** Requests in flight on one connection. */
  readonly maxRequests: number;
  /** Bytes of payloads and replies in memory for one connection; one request may go beyond it alone. */
  readonly maxMemory: number;
}

/** What a connection has moved, bytes and requests. */
export interface Traffic {
  requests: number;
  readBytes: number;
  writtenBytes: number;
}

/**
 * Bytes of replies, of whatever kind, that a client has not taken when no further request is: more would only wait, in memory that the processor's caches do not
 * hold. Requests that wait for the disk are not counted.
 */
const MOST_UNSENT = 4 * 1024 * 1024;

export class Transmission {
  readonly #channel: Channel;
  readonly #limits: TransmissionLimits;
  readonly #pool: BufferPool;
  readonly #extended: boolean;
  readonly #server: RequestServer;
  readonly #room: CoQueue = new CoQueue("room for NBD requests");
  readonly #traffic: Traffic;
  #inFlight = 0;
  /** Replies that the system has not taken keep their memory. */
  #memory = 0;
  #stopping = false;
  #receiving = false;

  constructor(agreement: Agreement, limits: TransmissionLimits, pool: BufferPool, traffic: Traffic) {
    this.#channel = agreement.channel;
    this.#limits = limits;
    this.#pool = pool;
    this.#traffic = traffic;
    this.#extended = agreement.style === "extended";
    const writer = new ReplyWriter(agreement.channel.outbox, agreement.style);
    agreement.channel.outbox.onSent(() => this.#room.wakeAll());
    this.#server = new RequestServer({ agreement, pool, writer, isEnding: () => this.#stopping || agreement.channel.stream.ended });
  }

  /** In the middle of a payload. */
  get receiving(): boolean {
    return this.#receiving;
  }

  /** Serves until the client leaves or `stop`; all that was begun has then ended and is on its way. Throws ProtocolError, ConnectionLost. */
  async run(): Promise<void> {
    try {
      while (!this.#stopping && (await this.#takeRequest()));
    } finally {
      this.#stopping = true;
      while (this.#inFlight > 0) await this.#room.waitUnlocked();
      this.#channel.outbox.flush();
    }
  }

  /** Takes no further request. */
  stop(): void {
    this.#stopping = true;
    this.#channel.stream.end();
    this.#room.wakeAll();
  }

  /** `false`: there will be no other. */
  async #takeRequest(): Promise<boolean> {
    const { stream } = this.#channel;
    const length = this.#extended ? EXTENDED_REQUEST_LENGTH : COMPACT_REQUEST_LENGTH;
    const header = stream.take(length) ?? (await stream.read(length));
    if (header === undefined) return false;
    const request = decodeRequest(header, this.#extended);
    if (request.command === COMMAND.disconnect) return false;
    const payloadLength = hasPayload(request, this.#extended) ? request.length : 0;
    if (payloadLength > MAX_PAYLOAD_LENGTH) throw new ProtocolError(`a request has a payload of ${payloadLength} bytes`);
    const memory = payloadLength + this.#server.replyMemory(request);
    if (!this.#hasRoom(memory)) await this.#waitForRoom(memory);
    this.#inFlight++;
    this.#memory += memory;
    this.#traffic.requests++;
    if (payloadLength > 0) await this.#takePayload(request, memory);
    else void this.#serve(request, undefined, memory);
    return true;
  }

  async #takePayload(request: RequestHeader, memory: number): Promise<void> {
    const { stream } = this.#channel;
    const whole = stream.take(request.length);
    const buffer = whole === undefined ? this.#pool.take(request.length) : undefined;
    if (buffer !== undefined) {
      this.#receiving = true;
      try {
        await stream.readInto(buffer.subarray(0, request.length));
      } catch (error) {
        this.#ended(memory);
        throw error;
      } finally {
        this.#receiving = false;
      }
    }
    this.#traffic.writtenBytes += request.length;
    void this.#serve(request, whole ?? buffer?.subarray(0, request.length), memory, buffer);
  }

  async #serve(request: RequestHeader, payload: Buffer | undefined, memory: number, pooled?: Buffer): Promise<void> {
    // What the reply holds is freed when it was sent, the rest now.
    let held = memory;
    const keep = (bytes: number): (() => void) => {
      const kept = Math.min(bytes, held);
      held -= kept;
      this.#traffic.readBytes += bytes;
      return () => void (this.#memory -= kept);
    };
    await this.#server.serve(request, payload, keep);
    if (pooled !== undefined) this.#pool.give(pooled);
    this.#ended(held);
    this.#channel.outbox.flushSoon(() => this.#inFlight > 0);
  }

  #hasRoom(memory: number): boolean {
    if (this.#inFlight >= this.#limits.maxRequests || this.#channel.outbox.unsent >= MOST_UNSENT) return false;
    return this.#memory === 0 || this.#memory + memory <= this.#limits.maxMemory;
  }

  async #waitForRoom(memory: number): Promise<void> {
    while (!this.#hasRoom(memory) && !this.#stopping) {
      this.#channel.outbox.flush();
      await this.#room.waitUnlocked();
    }
  }

  #ended(memory: number): void {
    this.#inFlight--;
    this.#memory -= memory;
    this.#room.wakeAll();
  }
}
