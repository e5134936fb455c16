/** How words name a snapshot inside an image: `NAME`, `ID`, or `snapshot.id=1,snapshot.name=x`. */

import type { SnapshotSelector } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { parseKeyValues } from "./text/key-values.ts";

/** `-l` of `convert` and `measure`; throws CommandFailure. `quote`: with which qemu-nbd and qemu-img begin a quotation. */
export function parseSnapshotWords(words: string | undefined, quote: "'" | "`" = "'"): SnapshotSelector | undefined {
  if (words === undefined || !words.startsWith("snapshot.")) return words;
  const selector: { id?: string; name?: string } = {};
  for (const [name, value] of parseKeyValues(words)) {
    if (name === "snapshot.id") selector.id = value;
    else if (name === "snapshot.name") selector.name = value;
    else
      throw new CommandFailure(`Failed in parsing snapshot param '${words}': Invalid parameter '${name}'`, 1, {
        words: [`Invalid parameter '${name}'`, `Failed in parsing snapshot param ${quote}${words}'`],
      });
  }
  return selector;
}
