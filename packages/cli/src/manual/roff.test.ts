/** The man pages, held to what formats them. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { manPages } from "./roff.ts";

it("mandoc finds nothing to complain of", async () => {
  const folder = mkdtempSync(join(tmpdir(), "coblock-man-"));
  try {
    const pages = await manPages();
    for (const [name, text] of pages) writeFileSync(join(folder, name), text);
    const { stdout } = spawnSync("mandoc", ["-T", "lint", "-W", "warning", ...[...pages.keys()].map((name) => join(folder, name))], {
      encoding: "utf8",
    });
    // Pages have no date: the same sources make the same pages.
    expect(stdout.split("\n").filter((line) => line !== "" && !line.includes("missing date"))).toEqual([]);
    const { stdout: page } = spawnSync("mandoc", ["-T", "ascii", join(folder, "coblock-convert.1")], { encoding: "utf8" });
    expect(page.replace(/.\u0008/g, "")).toMatch(/-O, --target-format=fmt\n +the format of the new image \(default raw\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
