/** Runs every example as a reader would: a program of its own that must end well and say something. */

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const TSX = import.meta.resolve("tsx");
const programs = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));

test("there are examples", () => {
  expect(programs).not.toEqual([]);
});

test.each(programs)("%s", async (name) => {
  const scratch = mkdtempSync(join(tmpdir(), "coblock-example-"));
  try {
    const node = ["--conditions=@coblock/source", "--import", TSX, join(import.meta.dirname, name)];
    const { stdout } = await run(process.execPath, node, { cwd: scratch, timeout: 50_000 });
    expect(stdout).not.toBe("");
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
