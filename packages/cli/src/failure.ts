/** How a command says that it failed: one line and an exit code. */

import { BlockError } from "@coblock/core";
import { qemuWords } from "./qemu-words.ts";

interface FailureDetails {
  readonly cause?: unknown;
  /** What qemu-img says instead, where it says something else: one member for each message, lines within one stay lines. */
  readonly words?: readonly string[];
}

/** Ends the command: main prints `<program>: <message>`, or nothing for an empty one, and answers `exitCode`. */
export class CommandFailure extends Error {
  readonly exitCode: number;
  /** The messages of qemu-img. */
  readonly words: readonly string[];

  constructor(message: string, exitCode: number = 1, { cause, words = [message] }: FailureDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.words = words;
  }
}

/** An image could not be opened. */
export class OpenFailure extends CommandFailure {
  /** Why, as qemu-img says it, without the name of the image. */
  readonly reason: string;

  constructor(name: string, reason: string, cause: BlockError) {
    super(cause.message, 1, { cause, words: [`Could not open '${name}': ${reason}`] });
    this.reason = reason;
  }
}

/** Words that fit nothing: the failure of a command, which qemu-img does not name in its messages, or of the program itself. */
export class UsageFailure extends CommandFailure {
  /** `words`: as qemu-img says it, which does not name its commands. */
  constructor(command: string | undefined, message: string, words: string = message) {
    super(command === undefined ? message : `${command}: ${message}`, 1, { words: [words] });
  }
}

/** The same error with another exit code, for commands that tell their steps apart by it. Aborts and failures that chose their code stay as they are. */
export function withExitCode(error: unknown, exitCode: number): unknown {
  const isPlain = error instanceof CommandFailure && error.exitCode === 1;
  if (isPlain) return new CommandFailure(error.message, exitCode, { cause: error, words: error.words });
  return error instanceof BlockError ? new CommandFailure(error.message, exitCode, { cause: error, words: [qemuWords(error)] }) : error;
}

/** What failed first: closing what was open may fail too, and `using` then throws both in one. */
export function firstFailure(error: unknown): unknown {
  let first = error;
  while (first instanceof Error && first.name === "SuppressedError" && "suppressed" in first) first = first.suppressed;
  return first;
}

/** One line, whatever is in the message (names of files may hold anything). */
export function oneLine(message: string): string {
  // Control characters of file names must not reach the terminal.
  return message.replace(/\s*\n\s*/g, "; ").replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
