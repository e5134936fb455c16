/** `--trace` of qemu-io and qemu-nbd. */

import { oneLine } from "./failure.ts";
import type { Session } from "./session.ts";

/** There are no trace events by QEMU's names; a pattern may fit none. */
export function warnOfTraces(words: readonly string[], session: Session): void {
  const parts = words.flatMap((list) => list.split(","));
  for (const part of parts) {
    const event = part.startsWith("enable=") ? part.slice("enable=".length) : part.includes("=") ? undefined : part;
    if (event !== undefined && !event.includes("*")) session.complain(oneLine(`warning: trace event '${event}' does not exist`));
  }
}
