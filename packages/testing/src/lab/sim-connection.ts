/** A simulated connection: bytes arrive when the schedule says so, in the pieces that it says, until the connection breaks. */

import { Duplex } from "node:stream";
import type { Journal } from "./journal.ts";
import type { Scheduler } from "./scheduler.ts";

/** How a connection behaves. */
export interface SimConnectionOptions {
  /** Where bytes may be parted on their way, and cut off when the connection breaks: nowhere, near their ends, or anywhere. Default "nowhere". */
  readonly cuts?: "nowhere" | "near the ends" | "anywhere";
}

/** All connections are one thing to a walk: what is on two sides of them may be one. */
const NETWORK = "network";
/** Bytes from either end at which "near the ends" cuts: one, and the middle of what begins most messages. */
const NEAR = [1, 10];

/** Both ends; what one writes the other reads, in order. An end that is closed is heard of behind its bytes. */
export class SimConnection {
  readonly client: Duplex;
  readonly server: Duplex;
  readonly #ends: readonly [End, End];
  readonly #journal: Journal;
  readonly #name: string;

  constructor(name: string, scheduler: Scheduler, journal: Journal, { cuts = "nowhere" }: SimConnectionOptions = {}) {
    const client = new End(`${name} to its server`, scheduler, cuts);
    const server = new End(`${name} to its client`, scheduler, cuts);
    client.peer = server;
    server.peer = client;
    this.#ends = [client, server];
    this.#journal = journal;
    this.#name = name;
    this.client = client;
    this.server = server;
  }

  /** Ends that are not closed. */
  get open(): number {
    return this.#ends.filter(({ destroyed }) => !destroyed).length;
  }

  /** Both ends fail. Of what is on its way some may still arrive before. */
  break(): void {
    this.#journal.note(() => `${this.#name} breaks`);
    for (const end of this.#ends) end.deliverRest();
    for (const end of this.#ends) end.destroy(resetError());
  }
}

/** The system has a copy of what is written, so that writing ends at once. */
class End extends Duplex {
  peer: End | undefined;
  readonly #name: string;
  readonly #scheduler: Scheduler;
  readonly #cuts: NonNullable<SimConnectionOptions["cuts"]>;
  #waiting: Buffer = Buffer.alloc(0);
  #isEnding = false;
  #announced = false;

  constructor(name: string, scheduler: Scheduler, cuts: NonNullable<SimConnectionOptions["cuts"]>) {
    super({ allowHalfOpen: true });
    this.#name = name;
    this.#scheduler = scheduler;
    this.#cuts = cuts;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    this.#announce();
    done();
  }

  override _final(done: (error?: Error) => void): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#end();
    done(error);
  }

  /** The connection breaks: a part arrives, and then nothing. */
  deliverRest(): void {
    this.#touch();
    const length = this.#waiting.length - this.#cut(this.#waiting.length + 1);
    if (length > 0) this.#deliver(length);
    this.#waiting = Buffer.alloc(0);
    this.#isEnding = true;
  }

  #end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#announce();
  }

  #announce(): void {
    this.#touch();
    if (this.#announced) return;
    this.#announced = true;
    if (this.#scheduler.quiet) process.nextTick(() => this.#arrive());
    else
      this.#scheduler.add(
        () => `${this.#name}: ${this.#waiting.length === 0 ? "the end" : "bytes"} arrives`,
        () => this.#arrive(),
      );
  }

  #arrive(): void {
    this.#touch();
    this.#announced = false;
    const { length } = this.#waiting;
    if (length > 0) this.#deliver(length - this.#cut(length));
    if (this.#waiting.length > 0) this.#announce();
    else if (this.#isEnding) this.#finish();
  }

  #deliver(length: number): void {
    const piece = this.#waiting.subarray(0, length);
    this.#waiting = this.#waiting.subarray(length);
    const { peer } = this;
    if (peer?.destroyed === false) peer.push(piece);
    else this.destroy(resetError());
  }

  #finish(): void {
    this.#isEnding = true;
    if (this.peer?.destroyed === false && !this.peer.readableEnded) this.peer.push(null);
  }

  /** How many of the last bytes do not go along, below `count`. */
  #cut(count: number): number {
    if (this.#cuts === "nowhere" || count <= 1) return 0;
    if (this.#cuts === "anywhere") return this.#scheduler.pick(count, "cut");
    const places = [0, ...NEAR, ...NEAR.map((place) => count - place)].filter(
      (place, index, all) => place < count && all.indexOf(place) === index && place >= 0,
    );
    return places[this.#scheduler.pick(places.length, "cut")] ?? 0;
  }

  #touch(): void {
    this.#scheduler.touchedRange(NETWORK, 0, 1, "write");
  }
}

function resetError(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
