/** One run of qemu-io: the open image, requests under way, and how one command after the other is run. */

import { BlockError, CoSleep, type BlockNode, type Clock } from "@coblock/core";
import { CommandFailure } from "../failure.ts";
import { parseWords } from "../getopt.ts";
import { qemuWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { usageLine, type IoCall, type IoCommand } from "./command.ts";
import { findCommand } from "./command-table.ts";
import { IoFailure, IoUsage } from "./failure.ts";
import { isHexWithSuffix, parseNumber } from "./number.ts";
import type { ImageFlags, ImageRequest } from "../flagged-image.ts";
import { OpenedImage } from "./opened-image.ts";

export class Shell implements AsyncDisposable {
  readonly session: Session;
  readonly clock: Clock;
  #image: OpenedImage | undefined;
  /** Of aio_read and aio_write. */
  readonly #pending = new Set<Promise<void>>();

  constructor(session: Session) {
    this.session = session;
    this.clock = session.clock;
  }

  get isOpen(): boolean {
    return this.#image !== undefined;
  }

  /** Commands that need an image are not run without one. */
  get image(): OpenedImage {
    if (this.#image === undefined) throw new IoFailure("no file open, try 'help open'", "stderr");
    return this.#image;
  }

  get node(): BlockNode {
    return this.image.node;
  }

  /** Throws IoFailure. */
  async open(request: ImageRequest): Promise<void> {
    this.#image = await OpenedImage.open(this.session, request);
    this.#listen(this.#image);
  }

  /** What is under way ends first. */
  async close(): Promise<void> {
    await this.settle();
    const image = this.#image;
    this.#image = undefined;
    await image?.[Symbol.asyncDispose]();
  }

  /** With other flags. Throws IoFailure; then none is open. */
  async reopen(flags: Partial<ImageFlags>): Promise<void> {
    await this.settle();
    const { image } = this;
    this.#image = undefined;
    this.#image = await image.reopen({ ...image.request.flags, ...flags });
    this.#listen(this.#image);
  }

  /** Wakes early when the program is to end. */
  async sleep(durationMs: number): Promise<void> {
    await new CoSleep().sleep(this.clock, durationMs, { signal: this.session.signal });
  }

  /** Runs on by itself; `work` tells of its own end and failures. */
  start(work: Promise<void>): void {
    const pending = work.finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /** All that was started has ended. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  print(text: string): void {
    this.session.output.print(text);
  }

  number(text: string): number {
    const number = parseNumber(text);
    if (isHexWithSuffix(text)) this.warn(`Using a multiplier suffix on hex numbers is deprecated: ${text}`);
    return number;
  }

  warn(message: string): void {
    this.session.output.flush();
    this.session.complain(`warning: ${message}`);
  }

  /** Whether the command succeeded, or ended the program. */
  async run(line: string): Promise<"ok" | "failed" | "quit"> {
    const [name, ...words] = line.split(" ").filter((word) => word !== "");
    if (name === undefined) return "ok";
    try {
      return (await this.#runCommand(name, words)) === "quit" ? "quit" : "ok";
    } catch (error) {
      this.tell(error);
      return "failed";
    } finally {
      this.session.output.flush();
      this.session.signal.throwIfAborted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #listen({ node }: OpenedImage): void {
    node.breakpoints?.listen((line) => this.print(`${line}\n`));
  }

  async #runCommand(name: string, words: readonly string[]): Promise<void | "quit"> {
    const command = findCommand(name);
    if (command === undefined) throw new IoFailure(`command "${name}" not found`, "stderr");
    const { needs } = command;
    const image = needs === "nothing" ? undefined : this.image;
    checkCount(name, command, words.length);
    if (needs === "write" && image?.readOnly === true) throw new IoFailure("Block node is read-only", "named stderr");
    const { options, operands, problem } =
      command.letters === undefined
        ? { options: [], operands: words }
        : parseWords(words, { letters: command.letters, inOrder: this.session.endsOptionsEarly });
    if (problem !== undefined && !options.some((option) => command.stopsAt?.includes(option.name) === true)) {
      this.session.output.flush();
      this.session.note(`${name}: ${problem.message}`);
      this.print(usageLine(command));
      throw new IoFailure("");
    }
    const value = (letter: string): string | undefined => options.findLast((option) => option.name === letter)?.argument;
    const call: IoCall = { shell: this, options, operands, value, has: (letter) => value(letter) !== undefined };
    try {
      return await command.run(call);
    } catch (error) {
      if (!(error instanceof IoUsage)) throw error;
      this.print(usageLine(command));
      throw new IoFailure("");
    }
  }

  /** The line of a failure; what is none is thrown on. */
  tell(error: unknown): void {
    const told = error instanceof IoFailure || error instanceof BlockError || error instanceof CommandFailure;
    if (!told) throw error;
    if (error.message === "") return;
    if (error instanceof IoFailure && error.stream === "stdout") return this.print(`${error.message}\n`);
    this.session.output.flush();
    if (error instanceof IoFailure && error.stream === "stderr") this.session.note(error.message);
    else this.session.complain(error instanceof BlockError ? qemuWords(error) : error.message);
  }
}

function checkCount(typed: string, { minimum, maximum }: IoCommand, count: number): void {
  if (count >= minimum && count <= (maximum ?? Number.POSITIVE_INFINITY)) return;
  const expected = maximum === undefined ? `at least ${minimum}` : maximum === minimum ? `${minimum}` : `between ${minimum} and ${maximum}`;
  throw new IoFailure(`bad argument count ${count} to ${typed}, expected ${expected} arguments`, "stderr");
}
