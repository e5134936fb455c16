/** `npm test`: sets the checkout up, finds the real tools, runs every test, and ends with `N passed, N failed`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";
import { ensureSystemTools } from "./system-tools.mjs";

const RESULTS = join(ROOT, ".cache/test-results.json");

/**
 * What is read of vitest's JSON report.
 * @typedef {{
 *   numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: { status: string, assertionResults: unknown[] }[],
 * }} Report
 * @typedef {{ passed: number, failed: number, skipped: number }} Totals
 */

await runScript(async () => {
  await setUp();
  ensureSystemTools();
  const exitCode = runVitest(process.argv.slice(2));
  const totals = readTotals(exitCode);
  const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`;
  process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
});

/**
 * @param {readonly string[]} args  Vitest's: file filters, `-t name`, …
 * @returns {number}
 */
function runVitest(args) {
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  rmSync(RESULTS, { force: true });
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${RESULTS}`];
  const { status } = spawnSync(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return status ?? 1;
}

/**
 * A file that does not load counts as one failed test, and so does any other reason that vitest has to fail.
 * @param {number} exitCode
 * @returns {Totals}
 */
function readTotals(exitCode) {
  if (!existsSync(RESULTS)) return { passed: 0, failed: 1, skipped: 0 };
  const report = /** @type {Report} */ (JSON.parse(readFileSync(RESULTS, "utf8")));
  const brokenFiles = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
  const failed = report.numFailedTests + brokenFiles;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}
