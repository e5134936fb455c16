/** What a command of qemu-io is, and what it is given. */

import type { FoundOption } from "../getopt.ts";
import type { Shell } from "./shell.ts";

export interface IoCommand {
  readonly name: string;
  readonly alias?: string;
  /** Words after the name, options counted. */
  readonly minimum: number;
  /** Absent: any number. */
  readonly maximum?: number;
  /** Letters for getopt; absent: words that begin with a dash are words. */
  readonly letters?: string;
  /** Options that end the command where they stand, whatever follows. */
  readonly stopsAt?: string;
  /** What may follow the name, as its help shows it. */
  readonly synopsis: string;
  readonly summary: string;
  /** Printed by `help NAME`; absent where the summary says all. */
  readonly explanation?: string;
  /** What it needs of the image: "nothing" works without one, "write" is refused by one that is read-only. */
  readonly needs: "nothing" | "image" | "write";
  /** Throws IoFailure, IoUsage, or what the image throws. "quit" ends the program. */
  run(call: IoCall): Promise<void> | Promise<"quit">;
}

export interface IoCall {
  readonly shell: Shell;
  readonly options: readonly FoundOption[];
  readonly operands: readonly string[];
  /** Whether the option was given. */
  has(letter: string): boolean;
  /** As it was given last. */
  value(letter: string): string | undefined;
}

/** The line that `help` prints, and a command whose words do not fit. */
export function usageLine(command: IoCommand): string {
  return `${command.name}${command.synopsis === "" ? "" : ` ${command.synopsis}`} -- ${command.summary}\n`;
}
