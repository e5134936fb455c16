import { expect, test } from "vitest";
import { findSnapshot, type ImageSnapshots, NodeSnapshots, type SnapshotInfo } from "./snapshots.ts";

const info = (id: string, name: string): SnapshotInfo => ({
  id,
  name,
  vmStateSize: 0,
  dateSeconds: 0,
  dateNanoseconds: 0,
  vmClockNanoseconds: 0n,
});
const SNAPSHOTS = [info("1", "2"), info("2", "one"), info("3", "one")];

test("a snapshot is found by its ID before its name, or by all that is given", () => {
  const found = (selector: Parameters<typeof findSnapshot>[1]): string | undefined => findSnapshot(SNAPSHOTS, selector)?.id;
  expect([found("2"), found("one"), found("nobody")]).toEqual(["2", "2", undefined]);
  expect([found({ name: "2" }), found({ id: "3", name: "one" }), found({ id: "1", name: "one" }), found({})]).toEqual([
    "1",
    "3",
    undefined,
    undefined,
  ]);
});

test("every change is made in exclusive mode", async () => {
  const log: string[] = [];
  let hasBitmaps = false;
  const image: ImageSnapshots = {
    list: () => SNAPSHOTS,
    create: async (name) => (log.push(`create ${name}`), info("4", name)),
    apply: async () => void log.push("apply"),
    delete: async () => (log.push("delete"), info("1", "2")),
  };
  const exclusive = async <T>(section: () => Promise<T>): Promise<T> => {
    log.push("(");
    const result = await section();
    log.push(")");
    return result;
  };
  const parts = { fileName: "a.img", driver: "some", nodeName: "a", snapshots: image, exclusive, hasBitmaps: () => hasBitmaps };
  const snapshots = new NodeSnapshots({ ...parts, readOnly: false });
  expect(snapshots.list()).toBe(SNAPSHOTS);
  await snapshots.create("new");
  await snapshots.apply("1");
  await snapshots.delete("1");
  expect(log).toEqual(["(", "create new", ")", "(", "apply", ")", "(", "delete", ")"]);
  await expect(new NodeSnapshots({ ...parts, readOnly: true }).create("new")).rejects.toMatchObject({ code: "READ_ONLY" });
  const none = new NodeSnapshots({ ...parts, snapshots: undefined, readOnly: false });
  expect(none.list()).toEqual([]);
  await expect(none.delete("1")).rejects.toThrow("a.img: driver 'some' has no snapshots");
  expect(log).toHaveLength(9);
  hasBitmaps = true;
  await expect(snapshots.apply("1")).rejects.toMatchObject({ code: "NOT_ALLOWED", message: "Device has active dirty bitmaps" });
  expect(log.filter((line) => line === "apply")).toHaveLength(1);
});
