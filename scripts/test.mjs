/** `npm test`: sets the checkout up, finds the real tools, runs every test, and ends with `N passed, N failed`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, StepError, runScript } from "./command.mjs";
import { testsThatStart } from "./real-tool-tests.mjs";
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
  const skippedFiles = filesToSkip(ensureSystemTools());
  const exitCode = runVitest([...skippedFiles.flatMap((file) => ["--exclude", file]), ...process.argv.slice(2)]);
  const totals = readTotals(exitCode);
  const skipped = totals.skipped + skippedFiles.length;
  process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}\n`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}, "0 passed, 1 failed");

/**
 * Where a real tool is missing, the test files that start it are left out, by name; in CI they are all there.
 * @param {readonly string[]} missing
 */
function filesToSkip(missing) {
  if (missing.length === 0) return [];
  if (process.env["CI"] !== undefined) throw new StepError(`CI compares with the real tools, and has no ${missing.join(", ")}`);
  const skipped = testsThatStart(missing);
  for (const { file, command } of skipped) process.stderr.write(`coblock: skipping ${file}: it compares with ${command}\n`);
  return skipped.map(({ file }) => file);
}

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
