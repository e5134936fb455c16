/** One run of a command: its graph, its output, its signals. */

import { BlockGraph, SystemClock, type BlockGraphOptions, type Clock, type Secrets } from "@coblock/core";
import { DRIVERS } from "./drivers.ts";
import { CommandFailure, oneLine } from "./failure.ts";
import type { Host, SignalName } from "./host.ts";
import { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { formatJson, type JsonValue } from "./text/json.ts";

/** What a shell shows for a program that a signal ended. */
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

export class Session implements Disposable {
  readonly output: Output;
  readonly clock: Clock = new SystemClock();
  /** For the graphs that are created from now on. */
  secrets: Secrets = {};
  readonly #host: Host;
  readonly #abort: AbortController = new AbortController();
  readonly #listening: Array<readonly [SignalName, () => void]> = [];
  #graph: BlockGraph | undefined;
  #progress: Progress | undefined;

  constructor(host: Host) {
    this.#host = host;
    this.output = new Output(host.stdout, (failure) => this.#abort.abort(failure));
    this.#listen("SIGINT", () => this.#interrupted("SIGINT"));
    this.#listen("SIGTERM", () => this.#interrupted("SIGTERM"));
    this.#listen("SIGUSR1", () => host.stderr.write(this.#progress?.report() ?? ""));
    this.#listen("SIGUSR2", () => host.stderr.write(`${this.inspection()}\n`));
  }

  /** Aborts at SIGINT and SIGTERM, and when nobody reads the output any more; its reason is the failure to report. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isDebugging(): boolean {
    const level = this.#host.env?.["COBLOCK_DEBUG"];
    return level !== undefined && level !== "" && level !== "0";
  }

  /** The caller disposes it. */
  createGraph(options: Pick<BlockGraphOptions, "implicitOpen"> = { implicitOpen: "allow" }): BlockGraph {
    this.#graph = new BlockGraph({ drivers: DRIVERS, clock: this.clock, secrets: this.secrets, ...options });
    return this.#graph;
  }

  /** `stepPercent`: the least step that `-p` prints. */
  startProgress(shown: { readonly printed: boolean; readonly quiet: boolean; readonly stepPercent: number }): Progress {
    this.#progress = new Progress({ clock: this.clock, output: this.output, stderr: this.#host.stderr, ...shown });
    return this.#progress;
  }

  /** What the graph is doing, as JSON. */
  inspection(): string {
    return formatJson((this.#graph?.inspect() ?? {}) as unknown as JsonValue);
  }

  /** One line on standard error. */
  note(message: string): void {
    this.#host.stderr.write(`${oneLine(message)}\n`);
  }

  /** For COBLOCK_DEBUG: where an error came from, and what caused it. */
  trace(error: Error): void {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      this.#host.stderr.write(`${cause.stack ?? cause.message}\n`);
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listening) this.#host.off?.(signal, listener);
  }

  #listen(signal: SignalName, listener: () => void): void {
    this.#listening.push([signal, listener]);
    this.#host.on?.(signal, listener);
  }

  /** The first signal ends the work in good order; the same one again ends the process, as it would without us. */
  #interrupted(signal: "SIGINT" | "SIGTERM"): void {
    this.#abort.abort(new CommandFailure(`interrupted by ${signal}`, SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[signal]));
    for (const [name, listener] of this.#listening) if (name === signal) this.#host.off?.(name, listener);
  }
}
