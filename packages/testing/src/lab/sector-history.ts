/** What one sector of a model disk may hold, while requests begin and end: it must be linearizable. */

import { assert } from "@coblock/core";
import { addWay, afterEnd, afterSeeing, afterUnseen, type Linearization, type Sight, withSights } from "./linearization.ts";
import type { ModelChange } from "./model-change.ts";
import type { SectorContent, SectorPart } from "./sector-content.ts";
import { SectorCut } from "./sector-cut.ts";

/** Bytes [offset, end) of the disk, and a name of its own. */
export interface ModelRead {
  readonly offset: number;
  readonly end: number;
}

/** `beganAt`: a tick. */
export interface ModelFlush {
  readonly beganAt: number;
}

/** Slots are bits of a 32-bit number. */
const MAX_CHANGES_IN_FLIGHT = 30;

/** Puts the ways that are all right into `found`; answers the way in which more changes are still to be tried, if any. `isKnown`: none was yet. */
type Judge = (way: Linearization, found: Linearization[], isKnown: boolean) => Linearization | undefined;

/**
 * The search for linearizations of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993), made as requests end: changes go no
 * earlier than what has been seen demands, and all the ways that are left are kept.
 *
 * A way also has what each flush found, so that a read says what was durable before it. Where a change was in flight when the flush began,
 * that is left to SectorCut, which goes by begins and ends: it allows what they allow, also where a read has seen that it was otherwise.
 */
export class SectorHistory {
  readonly #start: number;
  #ways: readonly Linearization[];
  /** Changes in flight. */
  readonly #slots: (ModelChange | undefined)[] = [];
  #inFlight = 0;
  /** Slots of those whose outcome depends on what was there. */
  #dependent = 0;
  /** Reads in flight that have met a change. */
  readonly #reads: ModelRead[] = [];
  /** Flushes in flight that began when no change was in flight here. */
  readonly #flushes: ModelFlush[] = [];
  /** The changes since `durable`. */
  #log: ModelChange[] = [];
  #durableAt = 0;
  #coveredBefore = 0;
  #cut: SectorCut | undefined;

  /** `start`: its offset on the disk. */
  constructor(start: number, content: SectorContent) {
    this.#start = start;
    this.#ways = [{ content, placed: 0, unseen: 0, durable: content, marks: [], sights: [] }];
  }

  /** A change is in flight. */
  get isBusy(): boolean {
    return this.#inFlight !== 0;
  }

  /** A power cut may leave something else than what it holds. */
  get isDirty(): boolean {
    return this.#log.length > 0;
  }

  /** `reads`: those in flight that read it. */
  begin(change: ModelChange, reads: readonly ModelRead[]): void {
    for (const read of reads) this.beginRead(read);
    const free = this.#slots.indexOf(undefined);
    const index = free < 0 ? this.#slots.length : free;
    assert(index < MAX_CHANGES_IN_FLIGHT, "that many changes of one sector are in flight");
    this.#slots[index] = change;
    this.#inFlight |= 1 << index;
    if (!change.isConstantAt(this.#start)) this.#dependent |= 1 << index;
    this.#log.push(change);
    this.#cut = undefined;
  }

  succeeded(change: ModelChange): void {
    const slot = this.#slotOf(change);
    this.#ended(slot, this.#waysAfter(change, slot) ?? this.#waysWith(slot));
  }

  /** It may have gone, or never goes. */
  failed(change: ModelChange): void {
    const slot = this.#slotOf(change);
    const asTheyAre = this.#ways.map((way) => afterEnd(way, slot));
    this.#ended(slot, [...asTheyAre, ...(this.#waysAfter(change, slot) ?? this.#waysWith(slot))]);
  }

  /** Needed where a change is in flight; where none is, the read meets it when it begins. */
  beginRead(read: ModelRead): void {
    if (this.#reads.includes(read)) return;
    this.#reads.push(read);
    this.#ways = this.#ways.map((way) => ({ ...way, sights: [...way.sights, [{ content: way.content, needs: 0 }]] }));
  }

  /** Answers all that the read could have met here where `part` is none of that. */
  readSucceeded(read: ModelRead, part: SectorPart): readonly SectorContent[] | undefined {
    if (!this.#reads.includes(read)) {
      if (this.#ways.length === 1 && this.#ways[0]?.content.match(part) === "yes") return undefined;
      this.beginRead(read);
    }
    const index = this.#reads.indexOf(read);
    const { found, tried } = this.#search((way, ways, isKnown) => seenIn(way, index, part, { found: ways, isKnown }), 0);
    if (found.length === 0) return tried.flatMap(({ sights }) => sights[index] ?? []).map(({ content }) => content);
    this.#reads.splice(index, 1);
    this.#become(found);
    return undefined;
  }

  readFailed(read: ModelRead): void {
    const index = this.#reads.indexOf(read);
    if (index < 0) return;
    this.#reads.splice(index, 1);
    this.#become(this.#ways.map((way) => ({ ...way, sights: way.sights.toSpliced(index, 1) })));
  }

  beginFlush(flush: ModelFlush): void {
    if (this.isBusy) return;
    this.#flushes.push(flush);
    this.#ways = this.#ways.map((way) => ({ ...way, marks: [...way.marks, way.content] }));
  }

  /** A flush that began earlier than another one that has succeeded says nothing new. */
  flushSucceeded(flush: ModelFlush): void {
    const index = this.#flushes.indexOf(flush);
    this.#coveredBefore = Math.max(this.#coveredBefore, flush.beganAt);
    if (index >= 0 && flush.beganAt > this.#durableAt) {
      this.#durableAt = flush.beganAt;
      this.#log = this.#log.filter(({ beganAt }) => beganAt > flush.beganAt);
      this.#ways = this.#ways.map((way) => ({ ...way, durable: way.marks[index] ?? way.durable }));
    }
    this.flushFailed(flush);
  }

  flushFailed(flush: ModelFlush): void {
    const index = this.#flushes.indexOf(flush);
    this.#cut = undefined;
    if (index < 0) return;
    this.#flushes.splice(index, 1);
    this.#become(this.#ways.map((way) => ({ ...way, marks: way.marks.toSpliced(index, 1) })));
  }

  /** What a power cut now may leave. It stays as it is while requests go on. */
  cut(): SectorCut {
    this.#cut ??= new SectorCut({
      start: this.#start,
      bases: this.#ways.map(({ durable }) => durable),
      log: this.#log.slice(),
      coveredBefore: this.#coveredBefore,
    });
    return this.#cut;
  }

  #slotOf(change: ModelChange): number {
    const index = this.#slots.indexOf(change);
    assert(index >= 0, "a change ends that has not begun");
    return 1 << index;
  }

  #ended(slot: number, ways: readonly Linearization[]): void {
    this.#slots[indexOfSlot(slot)] = undefined;
    this.#inFlight &= ~slot;
    this.#dependent &= ~slot;
    this.#become(ways);
  }

  #become(ways: readonly Linearization[]): void {
    assert(ways.length > 0, "a sector holds something");
    this.#cut = undefined;
    if (ways.length === 1) {
      this.#ways = ways;
      return;
    }
    const distinct: Linearization[] = [];
    for (const way of ways) addWay(distinct, way);
    this.#ways = distinct;
  }

  /** The same as `waysWith`, fast, for most: nobody reads, and nothing that went before the change or goes with it makes a difference to it. */
  #waysAfter(change: ModelChange, slot: number): readonly Linearization[] | undefined {
    const others = this.#inFlight & ~slot;
    if (this.#reads.length > 0 || ((this.#dependent & slot) !== 0 && others !== 0)) return undefined;
    const after: Linearization[] = [];
    for (const way of this.#ways) {
      if (((way.placed | way.unseen) & slot) !== 0) addWay(after, afterEnd(way, slot));
      if ((way.placed & slot) !== 0) continue;
      const unseen = others & ~way.placed;
      for (const content of change.outcomesAt(this.#start, way.content)) addWay(after, { ...way, content, unseen });
    }
    return after;
  }

  /** The ways in which the change `slot` has gone. */
  #waysWith(slot: number): readonly Linearization[] {
    const judge: Judge = (way, found) => {
      const isPlaced = (way.placed & slot) !== 0;
      if (isPlaced || (way.unseen & slot) !== 0) addWay(found, afterEnd(way, slot));
      return isPlaced ? undefined : { ...way, unseen: way.unseen & ~slot };
    };
    return this.#search(judge, slot).found;
  }

  /** Tries the changes in flight in every order, in each way for as long as the judge goes on. `last`: the slot that is looked for, if one is. */
  #search(judge: Judge, last: number): { readonly found: readonly Linearization[]; readonly tried: readonly Linearization[] } {
    const found: Linearization[] = [];
    const tried = [...this.#ways];
    const knownCount = tried.length;
    for (const [number, way] of tried.entries()) {
      const open = judge(way, found, number < knownCount);
      if (open === undefined) continue;
      const candidates = this.#candidates(open, last, number < knownCount);
      for (const [index, change] of this.#slots.entries()) {
        if (change === undefined || (candidates & (1 << index)) === 0) continue;
        for (const next of this.#place(open, 1 << index, change, last)) addWay(tried, next);
      }
    }
    return { found, tried };
  }

  /** The changes worth a try as the next one: what goes unseen before another one is already stood for. */
  #candidates(way: Linearization, last: number, isKnown: boolean): number {
    const waiting = this.#inFlight & ~way.placed;
    if (last !== 0 && this.#hides(last, waiting & ~last)) return last;
    return isKnown || this.#dependent !== 0 ? waiting : 0;
  }

  /** Whether it is all the same what of `others` goes right before the change `slot`: it leaves nothing of that, and reads can tell them apart. */
  #hides(slot: number, others: number): boolean {
    return (this.#dependent & slot) === 0 && (this.#reads.length === 0 || (this.#dependent & others) === 0);
  }

  /** The change goes next. Where it leaves nothing of what was there, others may have gone before it, each unseen but by a read in flight. */
  #place(way: Linearization, slot: number, change: ModelChange, last: number): readonly Linearization[] {
    const placed = way.placed | slot;
    const others = this.#inFlight & ~(placed | last);
    const isHiding = this.#hides(slot, others);
    return change.outcomesAt(this.#start, way.content).map((content) => {
      const more = isHiding ? this.#sightsOf(others) : [];
      const sights = way.sights.length === 0 ? [] : withSights(way, [{ content, needs: 0 }, ...more]);
      return { ...way, content, placed, unseen: isHiding ? others : way.unseen & ~slot, sights };
    });
  }

  #sightsOf(slots: number): readonly Sight[] {
    return this.#slots.flatMap((change, index) => {
      const content = (slots & (1 << index)) === 0 ? undefined : change?.constantAt(this.#start);
      return content === undefined ? [] : [{ content, needs: 1 << index }];
    });
  }
}

/** The ways in which read number `index` has seen the part. Of one that was not known, what goes unseen is tried as a way of its own. */
function seenIn(
  way: Linearization,
  index: number,
  part: SectorPart,
  { found, isKnown }: { readonly found: Linearization[]; readonly isKnown: boolean },
): Linearization | undefined {
  const own = way.sights[index] ?? [];
  const rest = { ...way, sights: way.sights.toSpliced(index, 1) };
  if (own.some(({ content, needs }) => needs === 0 && content.match(part) === "yes")) {
    addWay(found, rest);
    return undefined;
  }
  for (const { content, needs } of own) {
    const match = content.match(part);
    if (match === "no" || (needs !== 0 && !isKnown)) continue;
    const seen = afterUnseen(rest, needs);
    addWay(found, match === "narrows" ? afterSeeing(seen, content, part) : seen);
  }
  return { ...way, sights: way.sights.with(index, []) };
}

function indexOfSlot(slot: number): number {
  return 31 - Math.clz32(slot);
}
