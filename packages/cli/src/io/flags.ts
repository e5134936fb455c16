/** Words for how an image is opened, the same for the program and for `open`. */

import { CommandFailure } from "../failure.ts";
import type { ImageFlags } from "../flagged-image.ts";

/** With direct I/O or without is one to Coblock. */
const CACHE_MODES: Readonly<Record<string, Pick<ImageFlags, "writeThrough" | "noFlush">>> = {
  none: { writeThrough: false, noFlush: false },
  off: { writeThrough: false, noFlush: false },
  writeback: { writeThrough: false, noFlush: false },
  unsafe: { writeThrough: false, noFlush: true },
  writethrough: { writeThrough: true, noFlush: false },
  directsync: { writeThrough: true, noFlush: false },
};

/** `-t`. Throws CommandFailure. */
export function cacheFlags(mode: string): Pick<ImageFlags, "writeThrough" | "noFlush"> {
  const flags = Object.hasOwn(CACHE_MODES, mode) ? CACHE_MODES[mode] : undefined;
  if (flags === undefined) throw new CommandFailure(`Invalid cache option: ${mode}`);
  return flags;
}

/** `-d`. Throws CommandFailure. */
export function discardOf(mode: string): ImageFlags["discard"] {
  if (mode === "ignore" || mode === "off") return "ignore";
  if (mode === "unmap" || mode === "on") return "unmap";
  throw new CommandFailure(`Invalid discard option: ${mode}`);
}

/** `-i`: the modes are one to Coblock. Throws CommandFailure. */
export function checkAioMode(mode: string): void {
  if (!["threads", "native", "io_uring"].includes(mode)) throw new CommandFailure(`Invalid aio option: ${mode}`);
}
