/** Guest bytes read by the format itself, in exclusive mode and under the driver lock. */

import type { BlockChild, Intent, Mapping } from "@coblock/core";
import { l1IndexOf, l2IndexOf } from "../format/geometry.ts";
import type { Metadata } from "../metadata/metadata.ts";
import { lookup, type LookupParts } from "./lookup.ts";

export interface GuestReaderParts {
  readonly metadata: Metadata;
  readonly lookup: LookupParts;
  readonly backing: BlockChild | undefined;
}

export class GuestReader {
  readonly #parts: GuestReaderParts;

  constructor(parts: GuestReaderParts) {
    this.#parts = parts;
  }

  /** Brings in the part of the L2 table that maps `offset`: with the lock held nobody can wait for it. */
  async load(offset: number): Promise<void> {
    const { geometry, l1, l2 } = this.#parts.metadata;
    const l2Offset = l1.l2Offset(l1IndexOf(geometry, offset));
    if (l2Offset !== 0) await l2.fetch(l2Offset, l2IndexOf(geometry, offset));
  }

  /** The run at `offset`; tables are loaded with the lock held. */
  async map(offset: number, length: number, intent: Intent): Promise<Mapping> {
    const { metadata, lookup: parts } = this.#parts;
    await this.load(offset);
    const found = lookup(metadata, parts, offset, length, intent);
    if (found.kind !== "wait") return found;
    await found.until;
    return this.map(offset, length, intent);
  }

  /** Fills all of `into`, which the L1 table has entries for. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length;) {
      const run = await this.map(offset + done, into.length - done, "read");
      await this.#readRun(run, offset + done, into.subarray(done, done + run.length));
      done += run.length;
    }
  }

  async #readRun(run: Mapping, offset: number, into: Uint8Array): Promise<void> {
    if (run.kind === "data") {
      await readPresent(run.child, run.childOffset, into);
      return run.transform?.decode({ guestOffset: offset, childOffset: run.childOffset }, into);
    }
    into.fill(0);
    if (run.kind === "unallocated" && this.#parts.backing !== undefined) return readPresent(this.#parts.backing, offset, into);
    if (run.kind !== "encoded") return;
    const stored = new Uint8Array(run.stored.length);
    const present = Math.max(0, Math.min(stored.length, run.stored.child.size - run.stored.childOffset));
    await readPresent(run.stored.child, run.stored.childOffset, stored);
    const unit = new Uint8Array(run.unitLength);
    await run.decode(stored.subarray(0, present), unit);
    into.set(unit.subarray(run.skip, run.skip + into.length));
  }
}

/** Bytes past the end of the file are zeros. */
async function readPresent(child: BlockChild, offset: number, into: Uint8Array): Promise<void> {
  const present = Math.max(0, Math.min(into.length, child.size - offset));
  into.fill(0, present);
  if (present > 0) await child.read(offset, into.subarray(0, present));
}
