/** The drivers of one graph: found by name, or by the first bytes of a file; loaded when an image needs them. */

import type { BlockDriver, DriverEntry } from "../driver.ts";
import { BlockError } from "../errors.ts";

/** Bytes that `probe` is shown at the most. */
export const PROBE_LENGTH = 2048;

export class DriverTable {
  readonly #entries = new Map<string, DriverEntry>();

  constructor(entries: readonly DriverEntry[]) {
    for (const entry of entries) {
      if (this.#entries.has(entry.name)) throw new BlockError("INVALID_OPTION", `two drivers are called '${entry.name}'`);
      this.#entries.set(entry.name, entry);
    }
  }

  /** The driver that opens file names with this prefix. */
  protocol(scheme: string): DriverEntry | undefined {
    const named = this.#entries.get(scheme);
    if (named?.kind === "protocol" || named?.parseFileName !== undefined) return named;
    for (const entry of this.#entries.values()) if (entry.schemes?.includes(scheme) === true) return entry;
    return undefined;
  }

  /** Throws INVALID_OPTION for a name that the graph was not given. */
  entry(name: string): DriverEntry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new BlockError("INVALID_OPTION", `Unknown driver '${name}'`);
    return entry;
  }

  load(name: string): Promise<BlockDriver> {
    return this.entry(name).load();
  }

  /** Name of the format that is surest of the file; a format that answers 0 is none. */
  probe(head: Uint8Array, fileName: string): string {
    let best: { readonly name: string; readonly score: number } | undefined;
    for (const entry of this.#entries.values()) {
      const score = entry.kind === "format" ? (entry.probe?.(head, fileName) ?? 0) : 0;
      if (score > (best?.score ?? 0)) best = { name: entry.name, score };
    }
    if (best === undefined) throw new BlockError("UNSUPPORTED_FEATURE", `Could not determine the format of '${fileName}'`);
    return best.name;
  }
}
