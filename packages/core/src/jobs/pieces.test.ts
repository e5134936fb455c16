import { expect, test } from "vitest";
import { LabDisk } from "../fixture/lab-disk.ts";
import { filled, openDisk, readAll } from "../fixture/lab.ts";
import { compareDisks } from "./compare.ts";
import { copyDisk } from "./copy.ts";

test.each([0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
  "%d pieces at one time are refused, not taken for a job that is done",
  async (parallel) => {
    const [left, right] = [await openDisk(new LabDisk(100)), await openDisk(new LabDisk(100))];
    await left.write(0, filled(100, 1));
    await expect(compareDisks({ left, right, parallel })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(copyDisk({ source: left, target: right, parallel })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(await readAll(right)).toEqual(filled(100, 0));
  },
);

test.each([
  [{ targetOffset: -1 }, "OUT_OF_RANGE"],
  [{ targetOffset: Number.NaN }, "OUT_OF_RANGE"],
  [{ range: { offset: Number.NaN, length: 1 } }, "OUT_OF_RANGE"],
  [{ sparseSize: Number.NaN }, "INVALID_OPTION"],
  [{ sparseSize: -1 }, "INVALID_OPTION"],
])("a copy with %j is refused", async (wrong, code) => {
  const [source, target] = [await openDisk(new LabDisk(100)), await openDisk(new LabDisk(200))];
  await expect(copyDisk({ source, target, ...wrong })).rejects.toMatchObject({ code });
});
