/** A connection to an export: requests go out as they are made, replies come in any order. */

import { type Clock, CoQueue } from "@coblock/core";
import { COMMAND } from "../protocol/codes.ts";
import { expectPeer } from "../protocol/protocol-error.ts";
import type { ReplyHeader } from "../protocol/reply.ts";
import { encodeRequest } from "../protocol/request.ts";
import type { Channel } from "../transport/channel.ts";
import { ConnectionLost } from "../transport/connection-lost.ts";
import type { ServerAgreement } from "./client-handshake.ts";
import { type Operation, type OperationResult, PendingReply } from "./operation.ts";
import { type Pending, ReplyParser } from "./reply-parser.ts";

/** Time for the server's goodbye. */
const GOODBYE_MS = 1000;

export class ClientConnection implements Pending {
  readonly agreement: ServerAgreement;
  readonly #server: string;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #pending: Map<number, PendingReply> = new Map();
  readonly #idle: CoQueue = new CoQueue("end of NBD requests");
  readonly #extended: boolean;
  #nextCookie = 0;
  #lost: Error | undefined;

  /** `server`: as errors name it. `onLost` is called once, when nothing more can be asked. */
  constructor(agreement: ServerAgreement, server: string, clock: Clock, onLost: (error: Error) => void) {
    const { channel, style, allocationId } = agreement;
    this.agreement = agreement;
    this.#server = server;
    this.#channel = channel;
    this.#clock = clock;
    this.#extended = style === "extended";
    channel.stream.onEnd((error) => {
      const lost = error ?? new ConnectionLost("the server closed the connection");
      this.#lost = lost;
      const pending = [...this.#pending.values()];
      this.#pending.clear();
      channel.socket.destroy();
      onLost(lost);
      for (const reply of pending) reply.lose(lost);
      this.#idle.wakeAll();
    });
    if (this.#lost === undefined) channel.stream.consume(new ReplyParser(style, allocationId, this));
  }

  /** Requests whose replies are waited for. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Rejects with a BlockError where the server refuses; with ConnectionLost or ProtocolError where the reply cannot come any more. */
  send(operation: Operation): Promise<OperationResult> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const { command, flags, offset, length, payload } = operation;
    const cookieLow = this.#cookie();
    const reply = new PendingReply(operation, this.#server);
    this.#pending.set(cookieLow, reply);
    const { outbox } = this.#channel;
    outbox.push(encodeRequest({ command, flags, offset, length, cookieHigh: 0, cookieLow }, this.#extended));
    if (payload !== undefined) outbox.push(payload);
    outbox.flushSoon(() => false);
    return reply.ended;
  }

  find({ cookieHigh, cookieLow }: ReplyHeader): PendingReply {
    const reply = cookieHigh === 0 ? this.#pending.get(cookieLow) : undefined;
    expectPeer(reply !== undefined, `a reply has the cookie ${cookieHigh}:${cookieLow}, which is of no request`);
    return reply;
  }

  remove({ cookieLow }: ReplyHeader): void {
    this.#pending.delete(cookieLow);
    if (this.#pending.size === 0) this.#idle.wakeAll();
  }

  /** Says goodbye when all replies have come. */
  async close(): Promise<void> {
    while (this.#pending.size > 0) await this.#idle.waitUnlocked();
    if (this.#lost !== undefined) return;
    const { outbox } = this.#channel;
    outbox.push(
      encodeRequest(
        { command: COMMAND.disconnect, flags: 0, offset: 0, length: 0, cookieHigh: 0, cookieLow: this.#cookie() },
        this.#extended,
      ),
    );
    this.#channel.finish();
    using _limit = this.#clock.schedule(GOODBYE_MS, () => this.destroy());
    await this.#channel.closed;
  }

  /** At once: whatever is pending is lost. */
  destroy(): void {
    this.#channel.destroy(new ConnectionLost("the connection was given up"));
  }

  #cookie(): number {
    do this.#nextCookie = (this.#nextCookie + 1) % 2 ** 32;
    while (this.#pending.has(this.#nextCookie));
    return this.#nextCookie;
  }
}
