/** What a server tells of its clients, in one line each. */

import type { NbdServerEvent } from "@coblock/nbd";
import { formatSize } from "./text/size.ts";

/** Names the client first. */
export function wordsOf(event: NbdServerEvent): string {
  switch (event.kind) {
    case "connected":
      return `${event.client} is here`;
    case "chosen":
      return `${event.client} uses export '${event.exportName}'${event.secure ? " over TLS" : ""}`;
    case "left": {
      const { requests, readBytes, writtenBytes } = event.traffic;
      return `${event.client} has left: ${requests} requests, ${formatSize(readBytes)} read, ${formatSize(writtenBytes)} written`;
    }
    case "lost":
    case "cut off":
    case "refused":
      return `${event.client} was ${event.kind}: ${event.reason}`;
  }
}
