/** What goes out on a connection: pieces are gathered and handed over together, in one system call. */

import type { Clock } from "@coblock/core";
import type { Duplex } from "node:stream";

/** Bytes that a piece costs in memory beside its own. */
const PIECE_COST = 512;

export class Outbox {
  readonly #socket: Duplex;
  readonly #clock: Clock;
  #tellSent: () => void = () => {};
  #pieces: Uint8Array[] = [];
  #written: (() => void)[] = [];
  #due = false;
  #unsent = 0;
  #pushed = 0;
  #sentBatches = 0;

  constructor(socket: Duplex, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
  }

  /** Whether the socket has bytes that the system has not taken. */
  get waiting(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** Bytes of memory in pieces that the system has not taken. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Calls `tell` each time when `unsent` has become less. */
  onSent(tell: () => void): void {
    this.#tellSent = tell;
  }

  /** How often the system has taken what was handed over. */
  get sentBatches(): number {
    return this.#sentBatches;
  }

  /** `piece` may not be changed until `written` is called, which is when the system has it, or never will. */
  push(piece: Uint8Array, written?: () => void): void {
    this.#pieces.push(piece);
    this.#pushed += piece.length + PIECE_COST;
    this.#unsent += piece.length + PIECE_COST;
    if (written !== undefined) this.#written.push(written);
  }

  /** Hands over what there is when the coroutines that run now have come to rest; with `isMoreExpected`, one turn later. */
  flushSoon(isMoreExpected: () => boolean): void {
    if (this.#due) return;
    this.#due = true;
    process.nextTick(() => {
      if (isMoreExpected()) void this.#flushLater();
      else this.#flushDue();
    });
  }

  flush(): void {
    const pieces = this.#pieces;
    const written = this.#written;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#written = [];
    const cost = this.#pushed;
    this.#pushed = 0;
    const finish = (): void => {
      this.#sentBatches++;
      this.#unsent -= cost;
      for (const tell of written) tell();
      this.#tellSent();
    };
    if (!this.#socket.writable) {
      finish();
      return;
    }
    this.#socket.cork();
    for (const [index, piece] of pieces.entries()) this.#socket.write(piece, index === pieces.length - 1 ? finish : undefined);
    this.#socket.uncork();
  }

  async #flushLater(): Promise<void> {
    await this.#clock.yield();
    this.#flushDue();
  }

  #flushDue(): void {
    this.#due = false;
    this.flush();
  }
}
