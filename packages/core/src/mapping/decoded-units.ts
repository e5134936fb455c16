/** Decoded copies of compressed units, a few of them, so that small reads in a row decode once. */

import { touch } from "../coroutine/witness.ts";
import type { HostSpan } from "../driver.ts";

const MAX_BYTES = 4 * 1024 * 1024;

interface Unit {
  readonly span: HostSpan;
  readonly bytes: Promise<Uint8Array>;
  readonly length: number;
}

/** A copy lives at most as long as its stored bytes: it is dropped before their space can be used again. */
export class DecodedUnits {
  /** Least recently used first. */
  readonly #units = new Map<string, Unit>();
  #bytes = 0;

  /** The unit that `span` decodes to; concurrent callers share one `decode`. A failed decode is not kept. */
  get(span: HostSpan, length: number, decode: () => Promise<Uint8Array>): Promise<Uint8Array> {
    touch(this, "write");
    const key = keyOf(span);
    const known = this.#units.get(key);
    if (known !== undefined) {
      this.#units.delete(key);
      this.#units.set(key, known);
      return known.bytes;
    }
    const unit: Unit = { span, length, bytes: decode() };
    this.#units.set(key, unit);
    this.#bytes += length;
    unit.bytes.catch(() => this.#forget(key, unit));
    this.#evict(unit);
    return unit.bytes;
  }

  /** Drops every copy whose stored bytes touch `span`. */
  drop(span: HostSpan): void {
    touch(this, "write");
    const end = span.childOffset + span.length;
    for (const [key, unit] of this.#units) {
      const other = unit.span;
      if (other.child === span.child && other.childOffset < end && span.childOffset < other.childOffset + other.length)
        this.#forget(key, unit);
    }
  }

  #evict(newest: Unit): void {
    for (const [key, unit] of this.#units) {
      if (this.#bytes <= MAX_BYTES || unit === newest) return;
      this.#forget(key, unit);
    }
  }

  #forget(key: string, unit: Unit): void {
    touch(this, "write");
    if (this.#units.get(key) !== unit) return;
    this.#units.delete(key);
    this.#bytes -= unit.length;
  }
}

function keyOf(span: HostSpan): string {
  return `${span.child.name} ${span.childOffset} ${span.length}`;
}
