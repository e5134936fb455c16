/** `--trace`: there are no events by QEMU's names, but what the words ask for is looked at all the same. */

import { readFile } from "node:fs/promises";
import { errnoWords } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import type { Session } from "./session.ts";
import { parseKeyValues } from "./text/key-values.ts";

const NAMES = ["enable", "events", "file"];

/** Answers whether the list of events was asked for, which is all that the program then does. Throws CommandFailure. */
export async function readTraceWords(words: readonly string[], session: Session): Promise<"list" | "go on"> {
  for (const list of words) {
    const given = parseKeyValues(/^[^=,]+(?:,|$)/.test(list) ? `enable=${list}` : list);
    const unknown = [...given.keys()].find((name) => !NAMES.includes(name));
    if (unknown !== undefined) throw new CommandFailure(`Invalid parameter '${unknown}'`);
    const pattern = given.get("enable");
    if (pattern === "help") return "list";
    if (pattern !== undefined) warnOfEvent(pattern, "", session);
    const file = given.get("events");
    if (file !== undefined)
      for (const [index, line] of (await linesOf(file)).entries())
        if (line !== "" && !line.startsWith("#")) warnOfEvent(line, `${file}:${index + 1}: `, session);
  }
  return "go on";
}

/** A pattern may fit none. */
function warnOfEvent(pattern: string, place: string, session: Session): void {
  const event = pattern.replace(/^-/, "");
  if (!event.includes("*")) session.complain(`${place}warning: trace event '${event}' does not exist`);
}

/** Throws CommandFailure. */
async function linesOf(file: string): Promise<readonly string[]> {
  try {
    return (await readFile(file, "utf8")).split("\n");
  } catch (cause) {
    throw new CommandFailure(`${file}: ${errnoWords((cause as NodeJS.ErrnoException).code ?? "EIO")}`, 1, { cause });
  }
}
