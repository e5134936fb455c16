/** What a check of an image is asked for, what it finds, and what it comes to. */

import type { WaitOptions } from "./coroutine/held.ts";

/** How an image is checked. */
export interface CheckOptions extends WaitOptions {
  readonly repair: "none" | "leaks" | "all";
  /** Tells what the repair would do and does nothing; the result is what would be. */
  readonly dryRun?: boolean;
}
/** One thing that a check found: what, where in the file (bytes), what it means, what repair would do, what could be lost. */
export interface Finding {
  readonly severity: "error" | "leak" | "note";
  /** qemu-img's words where it has some. */
  readonly what: string;
  readonly offset: number;
  readonly meaning: string;
  readonly repair: string;
  readonly risk: string;
}
/** Totals of a check. */
export interface CheckResult {
  /** Places that could not be checked. */
  readonly errors: number;
  readonly corruptions: number;
  readonly leaks: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
  /** Bytes; where the image file's used part ends. */
  readonly imageEndOffset?: number;
  readonly clusters?: { readonly total: number; readonly allocated: number; readonly fragmented: number; readonly compressed: number };
}
