import { expect, test } from "vitest";
import { BreakPoints } from "./break-points.ts";

function breakPoints(): BreakPoints {
  return new BreakPoints(() => {});
}

/** Steps that coroutines took, in order. */
function coroutine(points: BreakPoints, steps: string[], name: string): Promise<void> {
  const go = async (): Promise<void> => {
    await points.at("l2_update");
    steps.push(name);
  };
  return go();
}

test("the next that reaches the event stands still under its tag until it is resumed; others go on", async () => {
  const points = breakPoints();
  const steps: string[] = [];
  points.set("l2_update", "A");
  const reached = points.reached("A");
  const first = coroutine(points, steps, "first");
  await reached;
  expect(points.suspended).toEqual(["A"]);
  await coroutine(points, steps, "second");
  expect(steps).toEqual(["second"]);
  await points.reached("A");
  expect(points.resume("A")).toBe(true);
  await first;
  expect(steps).toEqual(["second", "first"]);
  expect(points.suspended).toEqual([]);
  expect(points.resume("A")).toBe(false);
});

test("each counts once, and for its own event", () => {
  const points = breakPoints();
  points.set("l2_update", "A");
  points.set("l2_update", "B");
  expect(points.at("l1_update")).toBeUndefined();
  expect(points.at("l2_update")).toBeInstanceOf(Promise);
  expect(points.suspended).toEqual(["A"]);
  expect(points.at("l2_update")).toBeInstanceOf(Promise);
  expect(points.suspended).toEqual(["A", "B"]);
  expect(points.at("l2_update")).toBeUndefined();
});

test("of several with one tag the first goes on first", async () => {
  const points = breakPoints();
  const steps: string[] = [];
  points.set("l2_update", "A");
  points.set("l2_update", "A");
  const all = [coroutine(points, steps, "first"), coroutine(points, steps, "second")];
  points.resume("A");
  await all[0];
  expect(steps).toEqual(["first"]);
  points.resume("A");
  await all[1];
  expect(steps).toEqual(["first", "second"]);
});

test("removed ones stop nobody, and those who stand still already stay", () => {
  const points = breakPoints();
  points.set("l2_update", "A");
  void points.at("l2_update");
  points.set("l2_update", "A");
  points.set("cluster_free", "A");
  points.set("l2_update", "B");
  expect(points.remove("A")).toBe(true);
  expect(points.remove("A")).toBe(false);
  expect(points.at("cluster_free")).toBeUndefined();
  void points.at("l2_update");
  expect(points.suspended).toEqual(["A", "B"]);
});
