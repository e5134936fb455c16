import { describe, expect, test } from "vitest";
import { chainOf, withAncestors } from "./chain.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { labDriver, labOptions } from "./fixture/lab.ts";
import { BlockGraph } from "./graph.ts";

/** Disks that name a backing file when they are told to. */
function graphOf(): BlockGraph {
  const disk = labDriver("disk", "protocol", async () => Object.assign(new LabDisk(512), { changeBacking: async () => {} }));
  return new BlockGraph({ drivers: [disk] });
}

describe("another backing file", () => {
  test("is locked after the node that it is put below, with all that is below it, although it was opened later", async () => {
    const graph = graphOf();
    const open = (nodeName: string) => graph.open(labOptions({ driver: "disk", nodeName }));
    const [top, middle, bottom] = [await open("top"), await open("middle"), await open("bottom")];
    await middle.changeBacking({ filename: "bottom", node: bottom });
    await top.changeBacking({ filename: "middle", node: middle });
    expect(chainOf(top)).toEqual([top, middle, bottom]);
    expect(withAncestors(bottom)).toEqual([top, middle, bottom]);
    await using _quiet = await bottom.drain();
  });

  test("is refused where it stands on the node itself", async () => {
    const graph = graphOf();
    const [top, bottom] = [
      await graph.open(labOptions({ driver: "disk", nodeName: "top" })),
      await graph.open(labOptions({ driver: "disk", nodeName: "bottom" })),
    ];
    await top.changeBacking({ filename: "bottom", node: bottom });
    await expect(bottom.changeBacking({ filename: "top", node: top })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await top.changeBacking(undefined);
    expect(chainOf(top)).toEqual([top]);
    expect(bottom.parents.size).toBe(0);
  });

  test("is refused to one of two that are put below each other at one time", async () => {
    const graph = graphOf();
    const open = (nodeName: string) => graph.open(labOptions({ driver: "disk", nodeName }));
    const [left, right] = [await open("left"), await open("right")];
    const both = [left.changeBacking({ filename: "right", node: right }), right.changeBacking({ filename: "left", node: left })];
    const ends = await Promise.allSettled(both);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect([chainOf(left), left.parents.size, right.parents.size]).toEqual([[left, right], 0, 1]);
  });

  test("that could not be named has nobody standing on it", async () => {
    const failure = new Error("no room for the name");
    const failing = Object.assign(new LabDisk(512), { changeBacking: () => Promise.reject(failure) });
    const graph = new BlockGraph({ drivers: [labDriver("failing", "protocol", async () => failing)] });
    const open = () => graph.open(labOptions({ driver: "failing" }));
    const [top, bottom] = [await open(), await open()];
    await expect(top.changeBacking({ filename: "bottom", node: bottom })).rejects.toBe(failure);
    expect(bottom.parents.size).toBe(0);
    await bottom[Symbol.asyncDispose]();
    expect(graph.inspect().nodes).toHaveLength(1);
  });
});
