/** What one step of a run touched, so that steps which only swap are walked in one order alone. */

import type { TouchKind, Witness } from "@coblock/core";

/** The same in every run: objects are made anew for each. */
type Name = string;

interface TouchedRange {
  readonly name: Name;
  readonly start: number;
  readonly end: number;
  readonly kind: TouchKind;
}

/**
 * Names what coroutines share. Objects that were touched before the run began are counted, which comes out the same each time; of those that
 * turn up later, all of one class have one name, which can only make steps look less independent than they are.
 */
export class ObjectNames {
  readonly #names: WeakMap<object, Name> = new WeakMap();
  #counted = 0;

  /** Before the run. */
  count(object: object): void {
    if (!this.#names.has(object)) this.#names.set(object, `${object.constructor.name} ${this.#counted++}`);
  }

  of(object: object): Name {
    return this.#names.get(object) ?? object.constructor.name;
  }
}

/** Two steps are independent where nothing that one touched conflicts with what the other touched: then their order makes no difference. */
export class Footprint implements Witness {
  readonly #names: ObjectNames;
  readonly #touches: Map<Name, Set<TouchKind>> = new Map();
  /** By what they are: a step that is run again and again touches the same ones. */
  readonly #ranges: Map<string, TouchedRange> = new Map();

  constructor(names: ObjectNames) {
    this.#names = names;
  }

  touched(object: object, kind: TouchKind): void {
    this.#add(this.#names.of(object), kind);
  }

  /** Bytes [start, end) of a file or a disk; they meet other ranges of the same name only. */
  touchedRange(name: Name, start: number, end: number, kind: TouchKind): void {
    this.#ranges.set(`${kind} ${start} ${end} ${name}`, { name, start, end, kind });
  }

  /** Takes over all that `other` touched. */
  include(other: Footprint): void {
    for (const [name, kinds] of other.#touches) for (const kind of kinds) this.#add(name, kind);
    for (const [key, range] of other.#ranges) this.#ranges.set(key, range);
  }

  conflictsWith(other: Footprint): boolean {
    for (const [name, kinds] of this.#touches) {
      for (const kind of kinds) for (const second of other.#touches.get(name) ?? []) if (!commute(kind, second)) return true;
    }
    for (const range of this.#ranges.values()) {
      for (const second of other.#ranges.values()) if (meet(range, second) && !commute(range.kind, second.kind)) return true;
    }
    return false;
  }

  #add(name: Name, kind: TouchKind): void {
    const known = this.#touches.get(name);
    if (known === undefined) this.#touches.set(name, new Set([kind]));
    else known.add(kind);
  }
}

function commute(one: TouchKind, other: TouchKind): boolean {
  return one === other && one !== "write";
}

function meet(one: TouchedRange, other: TouchedRange): boolean {
  return one.name === other.name && one.start < other.end && other.start < one.end;
}
