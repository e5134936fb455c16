/** One client of a server, from the greeting to its end: with a time limit for the handshake, and cut off where it stalls. */

import type { Clock } from "@coblock/core";
import type { Duplex } from "node:stream";
import type { BufferPool } from "../transport/buffer-pool.ts";
import type { Channel } from "../transport/channel.ts";
import { ConnectionLost } from "../transport/connection-lost.ts";
import { type Agreement, type HandshakeRules, ServerHandshake } from "./handshake.ts";
import type { OpenExport } from "./served-export.ts";
import type { NbdServerEvent } from "./server-event.ts";
import { type Traffic, Transmission, type TransmissionLimits } from "./transmission.ts";

/** What a connection shares with its server. */
export interface ConnectionParts {
  readonly rules: HandshakeRules;
  readonly limits: TransmissionLimits;
  readonly handshakeTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly pool: BufferPool;
  readonly clock: Clock;
  readonly report: (event: NbdServerEvent) => void;
}

/** Time for the client's goodbye when it has all that it was owed: to close at once could cost it replies that it has not read. */
const GOODBYE_MS = 1000;

export class ServerConnection {
  readonly traffic: Traffic = { requests: 0, readBytes: 0, writtenBytes: 0 };
  /** How messages name the client. */
  readonly client: string;
  readonly #parts: ConnectionParts;
  readonly #socket: Duplex;
  readonly #known: OpenExport | undefined;
  #channel: Channel;
  #transmission: Transmission | undefined;
  #stopping = false;
  #cutReason: string | undefined;

  /** `known`: what the client asks for from its first byte on, with simple replies; else the handshake tells. */
  constructor(channel: Channel, client: string, parts: ConnectionParts, known?: OpenExport) {
    this.#socket = channel.socket;
    this.client = client;
    this.#parts = parts;
    this.#known = known;
    this.#channel = channel;
  }

  /** Ends with the connection; whatever the client does is reported, not thrown. */
  async run(): Promise<void> {
    const { report } = this.#parts;
    const { client } = this;
    report({ kind: "connected", client });
    try {
      await this.#serve();
      report({ kind: "left", client, traffic: this.traffic });
    } catch (error) {
      const reason = this.#cutReason ?? (error instanceof Error ? error.message : String(error));
      if (this.#stopping && this.#cutReason === undefined) report({ kind: "left", client, traffic: this.traffic });
      else report({ kind: error instanceof ConnectionLost && this.#cutReason === undefined ? "lost" : "cut off", client, reason });
    } finally {
      this.destroy();
      await this.#channel.closed;
    }
  }

  /** Lets what is in flight end, and then closes; a client that has not chosen an export is cut off. */
  stop(): void {
    this.#stopping = true;
    if (this.#transmission === undefined) this.destroy();
    else this.#transmission.stop();
  }

  /** At once. */
  destroy(): void {
    this.#channel.destroy(new ConnectionLost("the connection was closed by the server"));
    this.#socket.destroy();
  }

  async #serve(): Promise<void> {
    const { limits, pool, report } = this.#parts;
    const agreement = await this.#agree();
    if (agreement === undefined) return;
    this.#channel = agreement.channel;
    if (this.#stopping) return;
    report({ kind: "chosen", client: this.client, exportName: agreement.served.name, secure: agreement.channel.socket !== this.#socket });
    this.#transmission = new Transmission(agreement, limits, pool, this.traffic);
    const watch = this.#watchStalls(this.#transmission);
    try {
      await this.#transmission.run();
      await this.#part();
    } finally {
      watch[Symbol.dispose]();
    }
  }

  /** A client that stays would keep the place of another one, and hold up the server's end. */
  async #part(): Promise<void> {
    const limits: Disposable[] = [];
    this.#channel.finish(() => limits.push(this.#parts.clock.schedule(GOODBYE_MS, () => this.destroy())));
    await this.#channel.closed;
    for (const limit of limits) limit[Symbol.dispose]();
  }

  async #agree(): Promise<Agreement | undefined> {
    const { rules, clock, handshakeTimeoutMs } = this.#parts;
    if (this.#known !== undefined) return { channel: this.#channel, served: this.#known, style: "simple", contexts: [] };
    using _limit = clock.schedule(handshakeTimeoutMs, () => this.#cut(`the handshake took longer than ${handshakeTimeoutMs / 1000} s`));
    return await new ServerHandshake(this.#channel, rules).run();
  }

  /** A client that owes bytes, or takes none, for the whole time limit. */
  #watchStalls(transmission: Transmission): Disposable {
    const { clock, stallTimeoutMs } = this.#parts;
    let last = "";
    let timer: Disposable;
    const look = (): void => {
      const { stream, outbox } = this.#channel;
      const owes = transmission.receiving || outbox.waiting;
      const now = owes ? `${stream.received} ${outbox.sentBatches}` : "";
      if (owes && now === last) this.#cut(`the client has stalled for ${stallTimeoutMs / 1000} s`);
      last = now;
      timer = clock.schedule(stallTimeoutMs, look, { background: true });
    };
    timer = clock.schedule(stallTimeoutMs, look, { background: true });
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  #cut(reason: string): void {
    this.#cutReason ??= reason;
    this.destroy();
  }
}
