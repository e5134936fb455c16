/** The lines for qemu-img, one a line of text: `@name` is a file of the folder, and what stands in single quotes is one word. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The table of one command. */
function imgLines(command: string): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, "qemu-img", `${command}.txt`), "utf8");
  return text.split("\n").filter((line) => line !== "");
}

/** The tables of several commands, by name. */
export function imgTables(...commands: readonly string[]): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(commands.map((command) => [command, imgLines(command)]));
}
