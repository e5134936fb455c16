/** How a command says that it failed: one line and an exit code. */

import { BlockError } from "@coblock/core";

/** Ends the command: main prints `<program>: <message>`, or nothing for an empty one, and answers `exitCode`. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = 1, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Words that fit nothing: the failure of a command, which qemu-img does not name in its messages, or of the program itself. */
export class UsageFailure extends CommandFailure {
  /** The message of qemu-img, which does not name its commands. */
  readonly words: string;

  /** `words`: as qemu-img says it, where it says something else. */
  constructor(command: string | undefined, message: string, words: string = message) {
    super(command === undefined ? message : `${command}: ${message}`);
    this.words = words;
  }
}

/** The same error with another exit code, for commands that tell their steps apart by it. Aborts and failures that chose their code stay as they are. */
export function withExitCode(error: unknown, exitCode: number): unknown {
  return error instanceof BlockError ? new CommandFailure(error.message, exitCode, { cause: error }) : error;
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
