/** Who is connected and what is moved, drawn over and over at the end of a terminal. */

import type { Clock } from "@coblock/core";
import type { NbdServer } from "@coblock/nbd";
import { formatSize } from "../text/size.ts";
import type { Screen } from "./screen.ts";

export interface LiveTrafficParts {
  readonly screen: Pick<Screen, "columns">;
  readonly print: (text: string) => void;
  readonly clock: Clock;
  readonly server: Pick<NbdServer, "connections">;
}

type Connection = NbdServer["connections"][number];

/** What a connection had moved when it was last looked at. */
interface Sample {
  readonly requests: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

const INTERVAL_MS = 1000;
/** Connections with a line of their own. */
const MAX_ROWS = 8;
const UP = "\u001b[A";
const CLEAR_BELOW = "\r\u001b[J";
const NOTHING: Sample = { requests: 0, readBytes: 0, writtenBytes: 0 };

/** A line for each connection, anew each second; disposing takes them away. */
export class LiveTraffic implements Disposable {
  readonly #parts: LiveTrafficParts;
  #samples: Map<Connection, Sample> = new Map();
  #sampledMs: number;
  #lines: readonly string[] = [];
  #timer: Disposable;

  constructor(parts: LiveTrafficParts) {
    this.#parts = parts;
    this.#sampledMs = parts.clock.now();
    this.#timer = this.#arm();
  }

  /** `print` writes whole lines, which stay, above those that change. */
  above(print: () => void): void {
    this.#clear();
    print();
    this.#draw(this.#lines);
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#clear();
    this.#lines = [];
  }

  #arm(): Disposable {
    const look = (): void => {
      this.#look();
      this.#timer = this.#arm();
    };
    return this.#parts.clock.schedule(INTERVAL_MS, look, { background: true });
  }

  #look(): void {
    const { clock, server } = this.#parts;
    const nowMs = clock.now();
    const seconds = Math.max(0.001, (nowMs - this.#sampledMs) / 1000);
    const before = this.#samples;
    const { connections } = server;
    this.#sampledMs = nowMs;
    this.#samples = new Map(connections.map((connection) => [connection, { ...connection.traffic }]));
    const rows = connections.slice(0, MAX_ROWS).map((connection) => rowOf(connection, before.get(connection) ?? NOTHING, seconds));
    if (connections.length > MAX_ROWS) rows.push(`  and ${connections.length - MAX_ROWS} more`);
    this.#clear();
    this.#draw(rows);
  }

  #draw(lines: readonly string[]): void {
    const width = this.#parts.screen.columns - 1;
    this.#lines = lines;
    if (lines.length > 0) this.#parts.print(lines.map((line) => `${line.slice(0, width)}\n`).join(""));
  }

  #clear(): void {
    if (this.#lines.length > 0) this.#parts.print(UP.repeat(this.#lines.length) + CLEAR_BELOW);
  }
}

/** Rates of the last second, and behind each what was moved so far; a direction in which nothing went is left out. */
function rowOf({ client, traffic }: Connection, before: Sample, seconds: number): string {
  const moved = (bytes: number, bytesBefore: number, how: string): readonly string[] =>
    bytes === 0 ? [] : [`${formatSize(Math.round((bytes - bytesBefore) / seconds))}/s ${how} (${formatSize(bytes)})`];
  return `  ${client}: ${[
    ...moved(traffic.readBytes, before.readBytes, "read"),
    ...moved(traffic.writtenBytes, before.writtenBytes, "written"),
    `${Math.round((traffic.requests - before.requests) / seconds)} requests/s`,
  ].join(", ")}`;
}
