/** `snapshot` beside the real tool: the same words on copies of the same image lead to the same snapshots and the same disk. */

import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IMAGES, makeImages } from "./images.ts";
import { Workbench } from "./workbench.ts";

const bench = new Workbench("memory");

beforeAll(() => makeImages(bench));
afterAll(() => bench[Symbol.dispose]());

/** What is done to a copy of an image, one after the other; WRITE changes the disk. */
const STEPS: readonly (readonly string[])[] = [
  ["-c", "first"],
  ["WRITE"],
  ["-c", "first"],
  ["-c", "2"],
  ["WRITE"],
  ["-a", "2"],
  ["-c", ""],
  ["-d", "first"],
  ["WRITE"],
  ["-a", "2"],
  ["-d", "one"],
  ["-d", "nobody"],
  ["-a", "nobody"],
  ["-c", "with, comma"],
  ["-d", ""],
  ["-a", "with, comma"],
];

/** Dates differ: the tools do not run in the same second. */
function withoutDates(text: string): string {
  return text.replaceAll(/ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d /g, " DATE ");
}

const KINDS = IMAGES.filter(
  (name) => name.endsWith(".qcow2") && !["base.qcow2", "external.qcow2", "narrow.qcow2", "bitmaps.qcow2"].includes(name),
);

describe("the same steps with both tools", () => {
  it.each(KINDS)("%s", async (name) => {
    for (const copy of ["theirs.qcow2", "ours.qcow2"]) copyFileSync(bench.path(name), bench.path(copy));
    for (const [step, words] of STEPS.entries()) {
      if (words[0] === "WRITE") {
        for (const copy of ["theirs.qcow2", "ours.qcow2"])
          bench.qemuIo(copy, "qcow2", `write -P ${step + 1} 100k 200k`, `discard 3M 128k`, `write -z ${step}M 64k`);
        continue;
      }
      const theirs = bench.theirs(["snapshot", ...words, "@theirs.qcow2"]);
      const ours = await bench.ours(["snapshot", ...words, "@ours.qcow2"]);
      expect({ words, exitCode: ours.exitCode, stdout: ours.stdout }).toEqual({ words, exitCode: theirs.exitCode, stdout: theirs.stdout });
      if (theirs.exitCode !== 0) expect(ours.stderr).toMatch(/^coblock: Could not [^\n]+\n$/);
      const lists = ["theirs", "ours"].map((which) => withoutDates(bench.theirs(["snapshot", "-l", `@${which}.qcow2`]).stdout));
      expect(lists[1]).toBe(lists[0]);
      expect(bench.theirs(["check", "@ours.qcow2"])).toMatchObject({ exitCode: 0 });
      expect(bench.theirs(["compare", "@theirs.qcow2", "@ours.qcow2"]).stdout).toBe("Images are identical.\n");
    }
    const infos = ["theirs", "ours"].map((which) => {
      const { stdout } = bench.theirs(["info", "--output=json", `@${which}.qcow2`]);
      return stdout.replaceAll(/"(?:date-.?sec|actual-size)": \d+/g, "").replaceAll(`${which}.qcow2`, "");
    });
    expect(infos[1]).toBe(infos[0]);
    for (const copy of ["theirs.qcow2", "ours.qcow2"]) rmSync(bench.path(copy));
  });
});

describe("a snapshot that both tools read", () => {
  it("is the same disk, as long as it was", async () => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "@sized.qcow2", "1M");
    bench.qemuIo("sized.qcow2", "qcow2", "write -P 5 0 1M");
    expect((await bench.ours(["snapshot", "-c", "short", "@sized.qcow2"])).exitCode).toBe(0);
    bench.qemuImg("resize", "@sized.qcow2", "2M");
    expect((await bench.ours(["convert", "-l", "short", "-O", "raw", "@sized.qcow2", "@out"])).exitCode).toBe(0);
    expect(readFileSync(bench.path("out")).equals(Buffer.alloc(2 ** 20, 5))).toBe(true);
    const words = ["convert", "--image-opts", "-O", "raw", "driver=qcow2,file.filename=@sized.qcow2,snapshot.name=short", "@out"];
    expect((await bench.ours(words)).exitCode).toBe(0);
    expect(readFileSync(bench.path("out")).equals(Buffer.alloc(2 ** 20, 5))).toBe(true);
    expect((await bench.ours(["snapshot", "-a", "1", "@sized.qcow2"])).exitCode).toBe(0);
    expect(bench.theirs(["info", "@sized.qcow2"]).stdout).toContain("virtual size: 1 MiB");
  });
});
