/** The linter finds what its own rules are there for, and lets the rest pass. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "./source-tree.ts";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coblock-lint-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Numbers of the lines in which the rule finds something. */
function linesFoundBy(rule: string, code: string): number[] {
  const config = join(folder, "config.json");
  const source = join(folder, "planted.ts");
  writeFileSync(source, code);
  writeFileSync(
    config,
    JSON.stringify({
      jsPlugins: [join(ROOT, "scripts/lint-rules.mjs")],
      categories: { correctness: "off" },
      rules: { [`coblock/${rule}`]: "error" },
    }),
  );
  const oxlint = join(ROOT, "node_modules/oxlint/bin/oxlint");
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, "-c", config, "--format=json", source], { encoding: "utf8" });
  const report = JSON.parse(stdout || stderr) as { diagnostics: { labels: { span: { line: number } }[] }[] };
  return report.diagnostics.map(({ labels }) => labels[0]?.span.line ?? 0).sort((a, b) => a - b);
}

test("what a lock guards stays inside its scope", () => {
  const code = `
    async function f() { using held = await g.lock(); return held.value; }
    async function f() { using held = await g.lock(); this.kept = held.value; }
    async function f() { using held = await g.lock(); const state = held.value; cache.last = state; }
    async function f() { await using held = await g.lock(); return await held.value; }
    g.runSync((state) => state);
    g.runSync((state) => { this.kept = state; });
    async function f() { using held = await g.lock(); return held.value.size; }
    async function f() { using held = await g.lock(); await write(held.value); }
    g.runSync((state) => state.get(5));
    function f(held) { return held.value; }
    items.map((state) => state);
  `;
  expect(linesFoundBy("guarded-value-stays", code)).toEqual([2, 3, 4, 5, 6, 7]);
});

test("offsets and lengths do not go through 32-bit operators", () => {
  const code = `
    f(offset >> 9);
    f((request.length + 511) & mask);
    this.fileSize |= 1;
    f(~guestOffset);
    f(clusterSize - 1 & position);
    f(BigInt(offset) & 511n);
    f(flags & DIRTY);
    f(high & OFFSET_MASK);
    f(offset % 512);
  `;
  expect(linesFoundBy("no-truncated-offset", code)).toEqual([2, 3, 4, 5, 6]);
});

test("nobody asks for the current time", () => {
  const code = `
    f(Date.now());
    f(new Date());
    f(Date());
    f(new Date(seconds * 1000));
    f(clock.now());
  `;
  expect(linesFoundBy("time-is-passed-in", code)).toEqual([2, 3, 4]);
});
