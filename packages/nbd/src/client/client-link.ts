/** The way to an export that outlives its connections: each request is answered once, however often the server goes away. */

import { BlockError, type Clock, CoQueue, CoSleep } from "@coblock/core";
import { COMMAND } from "../protocol/codes.ts";
import { hasFlag } from "../protocol/export-info.ts";
import { ConnectionLost } from "../transport/connection-lost.ts";
import type { ClientConnection } from "./client-connection.ts";
import { payloadLimit, type ServerAgreement } from "./client-handshake.ts";
import type { Operation, OperationResult } from "./operation.ts";
import { ReplayLog } from "./replay-log.ts";

/** Makes a set of connections; `onLost` is called when the first of them is lost. */
export type Connect = (onLost: (error: Error) => void, signal: AbortSignal) => Promise<readonly ClientConnection[]>;

export interface ClientLinkParts {
  /** Of messages. */
  readonly server: string;
  readonly connect: Connect;
  /** For how long requests wait for a new connection. */
  readonly reconnectDelayMs: number;
  readonly clock: Clock;
  /** Whether the node may write. */
  readonly readOnly: boolean;
}

/** Between attempts to connect: the first pause, which doubles up to the last. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 16_000;

type State =
  | { readonly kind: "connected"; readonly connections: readonly ClientConnection[] }
  /** `waiting`: requests wait, for the delay is not over. */
  | { readonly kind: "lost"; readonly why: Error; readonly waiting: boolean }
  | { readonly kind: "failed"; readonly error: BlockError };

/**
 * A change that was answered and not flushed may be gone with the server. So with a delay all of them are kept and sent again before anything
 * else is asked; without one, a connection that is lost over such changes fails the link for good.
 */
export class ClientLink {
  readonly agreement: ServerAgreement;
  readonly #parts: ClientLinkParts;
  readonly #log: ReplayLog = new ReplayLog();
  readonly #keeps: boolean;
  readonly #changed: CoQueue = new CoQueue("NBD connection");
  readonly #pause: CoSleep = new CoSleep();
  readonly #closing: AbortController = new AbortController();
  #state: State;
  #reconnecting: Promise<void> | undefined;
  /** Changes that were answered, and how many of them the last flush covered. */
  #changes = 0;
  #flushed = 0;
  #next = 0;
  #trimming: Promise<void> | undefined;

  private constructor(parts: ClientLinkParts, connections: readonly ClientConnection[], agreement: ServerAgreement) {
    this.#parts = parts;
    this.agreement = agreement;
    this.#state = { kind: "connected", connections };
    this.#keeps = parts.reconnectDelayMs > 0 && !parts.readOnly && hasFlag(agreement.flags, "flush");
  }

  /** Throws what `connect` throws. */
  static async open(parts: ClientLinkParts, signal: AbortSignal): Promise<ClientLink> {
    const opened: { link?: ClientLink } = {};
    let early: Error | undefined;
    const connections = await parts.connect((error) => {
      if (opened.link === undefined) early ??= error;
      else opened.link.#lost(error);
    }, signal);
    const [first] = connections;
    if (first === undefined || early !== undefined) throw lostError(parts.server, early ?? new ConnectionLost("no connection"));
    opened.link = new ClientLink(parts, connections, first.agreement);
    return opened.link;
  }

  /** Requests that are waited for, and connections, for `inspect`. */
  get pending(): { readonly connections: number; readonly requests: number } {
    const connections = this.#state.kind === "connected" ? this.#state.connections : [];
    return { connections: connections.length, requests: connections.reduce((sum, { pending }) => sum + pending, 0) };
  }

  /** Answers once. Throws what the server refuses with, and IO where there is no connection for longer than the delay. */
  async perform(operation: Operation): Promise<OperationResult> {
    if (operation.command === COMMAND.flush) return this.#flush(operation);
    const result = await this.#send(operation);
    if (!isChange(operation)) return result;
    this.#changes++;
    if (this.#keeps) await this.#keep(operation);
    return result;
  }

  /** Waits for what is pending, and says goodbye. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#pause.wake();
    const { kind } = this.#state;
    if (kind === "connected") await Promise.all(this.#state.connections.map((connection) => connection.close()));
    this.#fail(new BlockError("CLOSED", `the connection to ${this.#parts.server} is closed`));
    await this.#reconnecting;
  }

  /** Covers the changes that were answered before it began. With none, there is nothing that a lost server could have lost. */
  async #flush(operation: Operation): Promise<OperationResult> {
    const { mark } = this.#log;
    const changes = this.#changes;
    if (this.#state.kind === "lost" && !this.#dirty) return [];
    const result = await this.#send(operation);
    this.#log.flushed(mark);
    this.#flushed = Math.max(this.#flushed, changes);
    return result;
  }

  /** Something was answered and not flushed. */
  get #dirty(): boolean {
    return this.#changes > this.#flushed;
  }

  async #send(operation: Operation): Promise<OperationResult> {
    let giveUpMs: number | undefined;
    for (;;) {
      const connection = this.#state.kind === "connected" ? this.#choose(this.#state.connections) : await this.#waitConnected();
      try {
        return await connection.send(operation);
      } catch (error) {
        if (error instanceof BlockError) throw error;
        // What breaks the protocol would break it again.
        const { clock, reconnectDelayMs, server } = this.#parts;
        giveUpMs ??= clock.now() + reconnectDelayMs;
        if (!(error instanceof ConnectionLost) || clock.now() >= giveUpMs) throw lostError(server, error as Error);
      }
    }
  }

  #choose(connections: readonly ClientConnection[]): ClientConnection {
    const [first] = connections;
    if (first === undefined) throw new BlockError("CLOSED", `the connection to ${this.#parts.server} is closed`);
    if (connections.length === 1) return first;
    this.#next = (this.#next + 1) % connections.length;
    return connections[this.#next] ?? first;
  }

  async #waitConnected(): Promise<ClientConnection> {
    for (;;) {
      const state = this.#state;
      if (state.kind === "connected") return this.#choose(state.connections);
      if (state.kind === "failed") throw state.error;
      if (!state.waiting) throw lostError(this.#parts.server, state.why);
      await this.#changed.waitUnlocked();
    }
  }

  /** The log is kept short by flushes of its own; writers wait for them where the server is slower than they are. */
  async #keep(operation: Operation): Promise<void> {
    this.#log.add(operation);
    while (this.#log.full) {
      this.#trimming ??= this.#trim().finally(() => (this.#trimming = undefined));
      await this.#trimming;
    }
  }

  async #trim(): Promise<void> {
    await this.perform({ command: COMMAND.flush, flags: 0, offset: 0, length: 0 });
  }

  /** One connection is gone: with it all, for they go to one server. */
  #lost(why: Error): void {
    const { reconnectDelayMs, server } = this.#parts;
    if (this.#state.kind !== "connected") return;
    const { connections } = this.#state;
    if (this.#closing.signal.aborted) return;
    if (this.#dirty && !this.#keeps && hasFlag(this.agreement.flags, "flush")) {
      this.#fail(
        new BlockError("IO", `${lostError(server, why).message}; it may have lost what was written and not flushed`, { cause: why }),
      );
    } else {
      this.#state = { kind: "lost", why, waiting: reconnectDelayMs > 0 };
      this.#reconnecting = this.#reconnect(why);
    }
    for (const connection of connections) connection.destroy();
  }

  #fail(error: BlockError): void {
    this.#state = { kind: "failed", error };
    this.#changed.wakeAll();
  }

  async #reconnect(why: Error): Promise<void> {
    const { clock, reconnectDelayMs, server } = this.#parts;
    const { signal } = this.#closing;
    let last = why;
    using _delay = clock.schedule(reconnectDelayMs, () => {
      if (this.#state.kind === "lost") this.#state = { kind: "lost", why: last, waiting: false };
      // What was kept to be sent again could only be sent too late: nobody waits any more, and somebody may have gone on without it.
      if (this.#keeps && this.#log.changes.length > 0)
        this.#fail(new BlockError("IO", `${lostError(server, last).message}; changes were lost`));
      this.#changed.wakeAll();
    });
    for (let pauseMs = FIRST_PAUSE_MS; this.#state.kind === "lost" && !signal.aborted; pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS)) {
      try {
        await this.#connectAnew();
        return;
      } catch (error) {
        last = error as Error;
      }
      if (this.#state.kind === "lost" && !signal.aborted) await this.#pause.sleep(clock, pauseMs, { background: !this.#state.waiting });
    }
  }

  async #connectAnew(): Promise<void> {
    let early: Error | undefined;
    let ready = false;
    const connections = await this.#parts.connect((error) => (ready ? this.#lost(error) : (early ??= error)), this.#closing.signal);
    try {
      for (const { agreement } of connections) this.#checkSame(agreement);
      const [first] = connections;
      if (first === undefined) throw new ConnectionLost("no connection");
      for (const change of this.#log.changes) await first.send(change);
      if (early !== undefined) throw early;
      if (this.#state.kind !== "lost") throw new ConnectionLost("too late");
    } catch (error) {
      for (const connection of connections) connection.destroy();
      throw error;
    }
    ready = true;
    this.#state = { kind: "connected", connections };
    this.#changed.wakeAll();
  }

  /** Requests were made for the export as it was. */
  #checkSame(found: ServerAgreement): void {
    const { size, flags, blockSizes } = this.agreement;
    const same = found.size === size && (flags & ~found.flags) === 0 && hasFlag(found.flags, "readOnly") === hasFlag(flags, "readOnly");
    const fits =
      (found.blockSizes?.minimum ?? 1) <= (blockSizes?.minimum ?? 1) &&
      payloadLimit(found) >= payloadLimit(this.agreement) &&
      (found.allocationId === undefined) === (this.agreement.allocationId === undefined);
    const style = found.style === this.agreement.style;
    if (!same || !fits || !style) throw new BlockError("IO", `${this.#parts.server} came back with another disk, or with less to offer`);
  }
}

const CHANGES: readonly number[] = [COMMAND.write, COMMAND.writeZeroes, COMMAND.trim];

/** Those with FUA, too: they are stable, but what is sent again may lie over the same bytes and be older. */
function isChange({ command }: Operation): boolean {
  return CHANGES.includes(command);
}

/** What stood in the way of a new connection names the server itself. */
function lostError(server: string, cause: Error): BlockError {
  const lost = cause instanceof BlockError ? "lost the connection" : `lost the connection to ${server}`;
  return new BlockError("IO", `${lost}: ${cause.message}`, { cause });
}
