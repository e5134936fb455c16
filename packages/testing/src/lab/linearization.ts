/** One way in which the changes of a sector may have gone one after the other. */

import type { SectorContent, SectorPart } from "./sector-content.ts";

/** A content that a read in flight has had a chance to see, where the changes `needs` (slots) have gone unseen before the last whole one. */
export interface Sight {
  readonly content: SectorContent;
  readonly needs: number;
}

/**
 * Changes in flight have a slot each: a bit of the sets below. Those in no set have not gone yet. A set of ways is written as one where they
 * differ only in what a change of the whole sector hides: `unseen`.
 */
export interface Linearization {
  /** What the sector holds. */
  readonly content: SectorContent;
  /** Slots of the changes in flight that have gone. */
  readonly placed: number;
  /** Slots of those that have gone unseen, or have not gone yet. */
  readonly unseen: number;
  /** What the last flush that counts has found here. */
  readonly durable: SectorContent;
  /** What each flush in flight has found here. */
  readonly marks: readonly SectorContent[];
  /** For each read in flight. */
  readonly sights: readonly (readonly Sight[])[];
}

/** Adds a way, unless another one already stands for it. */
export function addWay(ways: Linearization[], way: Linearization): void {
  if (!ways.some((other) => standsFor(other, way))) ways.push(way);
}

/** The changes `slots` have ended, and have gone where they may have. */
export function afterEnd(way: Linearization, slots: number): Linearization {
  return { ...way, placed: way.placed & ~slots, unseen: way.unseen & ~slots, sights: withoutNeed(way.sights, slots) };
}

/** The changes `slots` have gone unseen. */
export function afterUnseen(way: Linearization, slots: number): Linearization {
  return { ...way, placed: way.placed | slots, unseen: way.unseen & ~slots, sights: withoutNeed(way.sights, slots) };
}

/** A read has seen the part where `where` was: what was unknown there is known everywhere. */
export function afterSeeing(way: Linearization, where: SectorContent, part: SectorPart): Linearization {
  const narrowed = (content: SectorContent): SectorContent => content.narrowed(where, part);
  return {
    ...way,
    content: narrowed(way.content),
    durable: narrowed(way.durable),
    marks: way.marks.map(narrowed),
    sights: way.sights.map((sights) => sights.map(({ content, needs }) => ({ content: narrowed(content), needs }))),
  };
}

/** Every read in flight has had a chance to see `more`. */
export function withSights(way: Linearization, more: readonly Sight[]): readonly (readonly Sight[])[] {
  return way.sights.map((sights) => more.reduce(withSight, sights));
}

function withSight(sights: readonly Sight[], sight: Sight): readonly Sight[] {
  return sights.some((other) => isSeenWith(other, sight, 0)) ? sights : [...sights, sight];
}

/** Whether `sight` adds nothing to `other`, where the changes `placed` have gone. */
function isSeenWith(other: Sight, sight: Sight, placed: number): boolean {
  return (other.needs & ~(sight.needs | placed)) === 0 && other.content.equals(sight.content);
}

function withoutNeed(all: readonly (readonly Sight[])[], slots: number): readonly (readonly Sight[])[] {
  return all.map((sights) => sights.map(({ content, needs }) => ({ content, needs: needs & ~slots })));
}

/** Whether whatever can come after `way` can come after `other` as well. */
function standsFor(other: Linearization, way: Linearization): boolean {
  return (
    (other.placed & ~way.placed) === 0 &&
    ((way.placed | way.unseen) & ~(other.placed | other.unseen)) === 0 &&
    other.content.equals(way.content) &&
    other.durable.equals(way.durable) &&
    other.marks.every((mark, index) => way.marks[index]?.equals(mark) === true) &&
    way.sights.every((sights, read) =>
      sights.every((sight) => other.sights[read]?.some((known) => isSeenWith(known, sight, way.placed)) === true),
    )
  );
}
