/** One run of a command: its graph, its output, its signals. */

import { BlockError, BlockGraph, SystemClock, type BlockGraphOptions, type Clock } from "@coblock/core";
import { throttleDriver } from "@coblock/filters";
import { nbdDriver, nbdDriverWith, type TlsCredentials } from "@coblock/nbd";
import { DRIVERS } from "./drivers.ts";
import type { Authorization } from "./authz-objects.ts";
import { CommandFailure, oneLine } from "./failure.ts";
import type { Host, SignalName, TextStream } from "./host.ts";
import type { Objects } from "./objects.ts";
import { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { COBLOCK, type Program } from "./program.ts";
import { Screen } from "./terminal/screen.ts";
import type { TlsObject } from "./tls-objects.ts";
import { formatJson, type JsonValue } from "./text/json.ts";

/** What a shell shows for a program that a signal ended. */
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export class Session implements Disposable {
  readonly program: Program;
  readonly output: Output;
  /** What is seen of standard output. */
  readonly screen: Screen;
  readonly clock: Clock = new SystemClock();
  readonly #host: Host;
  readonly #abort: AbortController = new AbortController();
  readonly #listening: Array<readonly [SignalName, () => void]> = [];
  #errorScreen: Screen | undefined;
  #listensToErrors = false;
  #graph: BlockGraph | undefined;
  #progress: Progress | undefined;
  #objects: Objects = { secrets: {}, throttleGroups: new Map(), tlsCredentials: new Map(), authorizations: new Map() };

  constructor(host: Host, program: Program = COBLOCK) {
    this.program = program;
    this.#host = host;
    this.screen = this.#screenOf(host.stdout);
    this.output = new Output(host.stdout, (failure) => this.#abort.abort(failure), { unread: program.kind !== "coblock" });
    this.#listen("SIGINT", () => this.#interrupted("SIGINT"));
    this.#listen("SIGTERM", () => this.#interrupted("SIGTERM"));
    this.#listen("SIGUSR1", () => this.relay(this.#progress?.report() ?? ""));
    this.#listen("SIGUSR2", () => this.relay(`${this.inspection()}\n`));
  }

  /** Aborts at SIGINT, SIGTERM and what `endOnHangup` says, and when nobody reads the output any more; its reason is the failure to report. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What is seen of standard error. */
  get errorScreen(): Screen {
    return (this.#errorScreen ??= this.#screenOf(this.#stderr));
  }

  get isDebugging(): boolean {
    const level = this.#host.env?.["COBLOCK_DEBUG"];
    return level !== undefined && level !== "" && level !== "0";
  }

  /** The end of the terminal is one more signal to end in good order: for servers. */
  endOnHangup(): void {
    this.#listen("SIGHUP", () => this.#interrupted("SIGHUP"));
  }

  /** Settles when the signal to end has come. */
  async untilSignal(): Promise<void> {
    if (!this.signal.aborted) await new Promise((resolve) => this.signal.addEventListener("abort", resolve, { once: true }));
  }

  /** A variable of the environment. */
  variable(name: string): string | undefined {
    return this.#host.env?.[name];
  }

  /** The first operand ends the options of a command: POSIXLY_CORRECT. */
  get endsOptionsEarly(): boolean {
    return this.variable("POSIXLY_CORRECT") !== undefined;
  }

  /** The caller disposes it. */
  createGraph(options: Pick<BlockGraphOptions, "implicitOpen"> = { implicitOpen: "allow" }): BlockGraph {
    const { secrets, throttleGroups } = this.#objects;
    const known = DRIVERS.map((entry) => (entry === nbdDriver ? nbdDriverWith((id) => this.#clientCredentials(id)) : entry));
    const drivers = [...known, throttleDriver(throttleGroups)];
    this.#graph = new BlockGraph({ drivers, clock: this.clock, secrets, ...options });
    return this.#graph;
  }

  /** `--object`: for the options of images to name, in graphs that are created from now on. Throws CommandFailure. */
  async makeObjects(words: readonly string[]): Promise<void> {
    if (words.length > 0) this.#objects = await (await import("./objects.ts")).makeObjects(words, this.clock);
  }

  /** What `--object tls-creds-...` made. Throws CommandFailure. */
  tlsCredentials(id: string): TlsObject {
    const found = this.#objects.tlsCredentials.get(id);
    if (found !== undefined) return found;
    const { secrets, throttleGroups, authorizations } = this.#objects;
    const isOther = Object.hasOwn(secrets, id) || throttleGroups.has(id) || authorizations.has(id);
    const why = isOther ? `Object with id '${id}' is not TLS credentials` : `No TLS credentials with id '${id}'`;
    throw new CommandFailure(`Failed to get TLS creds: ${why}`);
  }

  /** Throws BlockError, in QEMU's words. */
  #clientCredentials(id: string): TlsCredentials {
    const found = this.#objects.tlsCredentials.get(id);
    if (found === undefined) throw new BlockError("INVALID_OPTION", `No TLS credentials with id '${id}'`);
    if (found.side === "server") throw new BlockError("INVALID_OPTION", "Expected TLS credentials for a client endpoint");
    return found.credentials;
  }

  /** What `--object authz-...` made. Throws CommandFailure. */
  authorization(id: string): Authorization {
    const found = this.#objects.authorizations.get(id);
    if (found === undefined) throw new CommandFailure(`Cannot find QAuthZ object ID ${id}`);
    return found;
  }

  /** `stepPercent`: the least step that `-p` prints. */
  startProgress(shown: { readonly printed: boolean; readonly quiet: boolean; readonly stepPercent: number }): Progress {
    const { clock, output, errorScreen: screen } = this;
    this.#progress = new Progress({ clock, output, stderr: this.#stderr, screen, ...shown });
    return this.#progress;
  }

  /** What the graph is doing, as JSON. */
  inspection(): string {
    return formatJson((this.#graph?.inspect() ?? {}) as unknown as JsonValue);
  }

  /** Where commands come from, if there is such a place. */
  get input(): NodeJS.ReadStream | undefined {
    return this.#host.stdin;
  }

  /** What an editor of lines writes to, where standard output is a terminal. */
  get terminal(): NodeJS.WritableStream | undefined {
    const { stdout } = this.#host;
    return stdout.isTTY === true ? (stdout as TextStream & NodeJS.WritableStream) : undefined;
  }

  /** Sends a signal to this process. */
  raise(signal: number): void {
    if (this.#host.pid !== undefined) this.#host.kill?.(this.#host.pid, signal);
  }

  /** On standard output, page by page where a person looks on. */
  async page(text: string): Promise<void> {
    if (!this.screen.isTerminal || (await this.#host.page?.(text)) !== true) this.output.print(text);
  }

  /** One line on standard error that begins with the name of the program; as qemu-img, lines stay lines. */
  complain(message: string): void {
    const lines = this.program.kind === "coblock" ? [message] : message.split("\n");
    for (const [index, line] of lines.entries()) this.#printNote(oneLine(line), index === 0 ? `${this.program.name}: ` : "");
  }

  /** One line on standard error. */
  note(message: string): void {
    this.#printNote(oneLine(message));
  }

  /** What a person may try next; on terminals alone. */
  hint(message: string): void {
    if (this.errorScreen.isTerminal) this.#printNote(this.errorScreen.dim(`  ${oneLine(message)}`));
  }

  /** What another process has put in words, or what is drawn anew again and again, on standard error. */
  relay(text: string): void {
    this.#stderr.write(text);
  }

  /** For COBLOCK_DEBUG: where an error came from, and what caused it. */
  trace(error: Error): void {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) this.#stderr.write(`${cause.stack ?? cause.message}\n`);
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listening) this.#host.off?.(signal, listener);
  }

  /** Node makes that stream when it is first asked for. Messages that nobody reads are no reason to end. */
  get #stderr(): TextStream {
    const { stderr } = this.#host;
    if (!this.#listensToErrors) stderr.on?.("error", () => {});
    this.#listensToErrors = true;
    return stderr;
  }

  #screenOf(stream: TextStream): Screen {
    return new Screen(stream, this.#host.env ?? {}, this.program.kind === "coblock");
  }

  #printNote(line: string, before: string = ""): void {
    const { errorScreen: screen } = this;
    this.#progress?.makeRoom();
    const [, warning = "", rest = line] = /^(warning:)(.*)$/s.exec(line) ?? [];
    this.#stderr.write(`${warning === "" ? screen.red(before) : before}${screen.yellow(warning)}${rest}\n`);
  }

  #listen(signal: SignalName, listener: () => void): void {
    this.#listening.push([signal, listener]);
    this.#host.on?.(signal, listener);
  }

  /** The first signal ends the work in good order; the same one again ends the process, as it would without us. */
  #interrupted(signal: keyof typeof SIGNAL_NUMBERS): void {
    this.#progress?.stop();
    this.#abort.abort(new CommandFailure(`interrupted by ${signal}`, SIGNAL_EXIT_BASE + SIGNAL_NUMBERS[signal]));
    for (const [name, listener] of this.#listening) if (name === signal) this.#host.off?.(name, listener);
  }
}
