import { expect, test } from "vitest";
import type { BlockChild } from "../child.ts";
import type { MappedImage, RunStatus } from "../driver.ts";
import { HolesBelow } from "./holes-below.ts";

/** A file of 1,000 bytes, of which [100, 300) and what follows 900 are stored nowhere. */
const FILE = {
  size: 1000,
  status: (offset: number, length: number): RunStatus => {
    const end = [100, 300, 900, 1000].find((border) => border > offset) ?? 1000;
    const isHole = (offset >= 100 && offset < 300) || offset >= 900;
    return { kind: isHole ? "zero" : "data", length: Math.min(length, end - offset) };
  },
} as unknown as BlockChild;

const data = (childOffset: number, length: number): RunStatus => ({
  kind: "data",
  length,
  location: { child: FILE, childOffset, length },
});

function holesBelow(answers: readonly boolean[]): { readonly holes: HolesBelow; readonly asked: () => number } {
  let asked = 0;
  const image = { hasHolesBelow: () => Promise.resolve(answers[asked++] ?? false) };
  return { holes: new HolesBelow(image as unknown as MappedImage), asked: () => asked };
}

test.each<[what: string, run: RunStatus, kind: RunStatus["kind"], length: number]>([
  ["data that is stored", data(0, 100), "data", 100],
  ["data up to a hole", data(50, 200), "data", 50],
  ["a hole", data(150, 50), "zero", 50],
  ["a hole up to data", data(150, 300), "zero", 150],
  ["a hole at the end of the file, which goes on behind it", data(950, 500), "zero", 500],
  ["what lies behind the end", data(2000, 10), "zero", 10],
  ["zeros", { kind: "zero", length: 10 }, "zero", 10],
  ["nothing", { kind: "unallocated", length: 10 }, "unallocated", 10],
  ["data that has no place as it is", { kind: "data", length: 10 }, "data", 10],
])("%s", async (_what, run, kind, length) => {
  const found = await holesBelow([true]).holes.refine(run);
  expect(found).toMatchObject({ kind, length });
  expect(found.holeBelow).toBe(run.kind === "data" && kind === "zero" ? true : undefined);
  if (run.location !== undefined) expect(found.location).toEqual({ ...run.location, length });
});

test("the format is asked once, and where it has no such data the answer comes at once", async () => {
  const { holes, asked } = holesBelow([false, true]);
  const run = data(150, 50);
  expect(await Promise.all([holes.refine(run), holes.refine(Promise.resolve(run))])).toEqual([run, run]);
  expect(holes.refine(run)).toBe(run);
  expect(asked()).toBe(1);
});

test("a format that cannot have any is not asked", () => {
  const run = data(150, 50);
  expect(new HolesBelow({} as MappedImage).refine(run)).toBe(run);
});
