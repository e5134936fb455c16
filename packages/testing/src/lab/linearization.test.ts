import { describe, expect, it } from "vitest";
import { addWay, type Linearization } from "./linearization.ts";
import { SectorContent } from "./sector-content.ts";

const A = SectorContent.ZERO.withBytes(0, Uint8Array.of(1));
const B = SectorContent.ZERO.withBytes(0, Uint8Array.of(2));

function way(parts: Partial<Linearization>): Linearization {
  return { content: A, placed: 0, unseen: 0, durable: A, marks: [], sights: [], ...parts };
}

/** Whether `first` makes `second` superfluous. */
function standsFor(first: Partial<Linearization>, second: Partial<Linearization>): boolean {
  const ways = [way(first)];
  addWay(ways, way(second));
  return ways.length === 1;
}

describe("one way stands for another one", () => {
  it("if they are the same", () => {
    const same = (): Partial<Linearization> => ({ placed: 3, unseen: 4, marks: [B], sights: [[{ content: B, needs: 4 }]] });
    expect(standsFor(same(), same())).toBe(true);
    expect(standsFor({}, { content: SectorContent.ZERO.withBytes(0, Uint8Array.of(1)) })).toBe(true);
  });

  it("unless contents differ: now, on the disk, or at a flush", () => {
    expect(standsFor({}, { content: B })).toBe(false);
    expect(standsFor({}, { durable: B })).toBe(false);
    expect(standsFor({ marks: [A] }, { marks: [B] })).toBe(false);
    expect(standsFor({}, { content: A.withUnknown(0, 1, 5) })).toBe(false);
    expect(standsFor({ content: A.withUnknown(0, 1, 4) }, { content: A.withUnknown(0, 1, 5) })).toBe(false);
  });

  it("if what has gone there has gone here, or may have", () => {
    expect(standsFor({ unseen: 1 }, { placed: 1 })).toBe(true);
    expect(standsFor({ unseen: 3 }, { placed: 1, unseen: 2 })).toBe(true);
    expect(standsFor({ unseen: 1 }, {})).toBe(true);
    expect(standsFor({}, { placed: 1 })).toBe(false);
    expect(standsFor({}, { unseen: 1 })).toBe(false);
  });

  it("unless more has gone here", () => {
    expect(standsFor({ placed: 1 }, {})).toBe(false);
    expect(standsFor({ placed: 1 }, { unseen: 1 })).toBe(false);
  });

  it("if reads have had a chance to see all that they had there", () => {
    const sight = { content: B, needs: 0 };
    expect(standsFor({ sights: [[{ content: A, needs: 0 }, sight]] }, { sights: [[sight]] })).toBe(true);
    expect(standsFor({ sights: [[{ content: A, needs: 0 }]] }, { sights: [[sight]] })).toBe(false);
    expect(standsFor({ sights: [[sight], []] }, { sights: [[sight], [sight]] })).toBe(false);
  });

  it("if they need not more for it", () => {
    const needing = (needs: number): Partial<Linearization> => ({ unseen: 3, sights: [[{ content: B, needs }]] });
    expect(standsFor(needing(1), needing(3))).toBe(true);
    expect(standsFor(needing(3), needing(1))).toBe(false);
    expect(standsFor(needing(1), { ...needing(0), placed: 1, unseen: 2 })).toBe(true);
  });
});
