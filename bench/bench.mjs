/** Measures each row against the real tool, alternating in one run, and prints medians and ratios. It fails nothing. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fixtures, warm } from "./fixtures.mjs";
import { httpRows, measureHttpRow } from "./http-rows.mjs";
import { measureNbdRow, nbdRows } from "./nbd-rows.mjs";
import { printedSeconds, rows } from "./rows.mjs";
import { measureStartUp, startUpRow } from "./start-up-row.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const coblock = join(root, "packages/cli/bin/coblock");

function run(command, args) {
  const start = performance.now();
  const result = spawnSync(command, args, { stdio: ["ignore", "pipe", "pipe"], maxBuffer: 256 * 1024 * 1024 });
  const wall = (performance.now() - start) / 1000;
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${result.status}: ${result.stderr}`);
  return { wall, output: String(result.stdout) };
}

function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Seconds of one call by the row's own clock. */
function measure(row, command, args, startUp) {
  const { wall, output } = run(command, args);
  return row.seconds === "printed" ? printedSeconds(output) : Math.max(1e-4, wall - startUp);
}

function measureRow(row, path, folder, pairs) {
  for (const file of row.files) warm(path(file));
  const output = row.output === undefined ? undefined : join(folder, row.output);
  const candidates = [
    { name: "coblock", command: coblock, args: row.ours(path, output) },
    ...row.against.map((mode) => ({ name: `qemu-img ${mode.mode}`, command: "qemu-img", args: mode.args(path, output) })),
  ];
  const startUps = candidates.map(({ command }, index) =>
    row.startUp === undefined ? 0 : startUpOf(row.startUp(index), path, output, command),
  );
  const seconds = candidates.map(() => []);
  for (let pair = 0; pair < pairs; pair++) {
    // Whoever comes first meets memory that the machine has not touched for a while: each does in turn.
    for (let turn = 0; turn < candidates.length; turn++) {
      const index = (pair + turn) % candidates.length;
      if (output !== undefined) rmSync(output, { force: true });
      row.prepare?.(output);
      seconds[index].push(measure(row, candidates[index].command, candidates[index].args, startUps[index]));
    }
  }
  if (output !== undefined) rmSync(output, { force: true });
  return candidates.map((candidate, index) => ({ name: candidate.name, seconds: seconds[index] }));
}

/** The same command on a disk with nothing in it. */
function startUpOf(args, path, output, command) {
  const once = () => {
    if (output !== undefined) rmSync(output, { force: true });
    return run(command, args(path, output)).wall;
  };
  return median(Array.from({ length: 5 }, once));
}

function print(row, [ours, ...others]) {
  const mine = median(ours.seconds);
  const parts = others.map((other) => {
    const ratios = other.seconds.map((theirs, index) => theirs / ours.seconds[index]);
    const cautious = Math.min(...other.seconds) / Math.min(...ours.seconds);
    return `${other.name} ${median(other.seconds).toFixed(3)} s: ${median(ratios).toFixed(2)} (best ${cautious.toFixed(2)})`;
  });
  console.log(`${row.name.padEnd(22)} ${mine.toFixed(3)} s   to reach ${row.target.padEnd(12)} ${parts.join("   ")}`);
}

const START_UP_ROUNDS_IN_PAIR = 8;

const [filter = "", pairs = "5"] = process.argv.slice(2);
const folder = mkdtempSync(join(process.env.COBLOCK_BENCH_DIR ?? tmpdir(), "coblock-bench-"));
try {
  if (startUpRow.name.includes(filter)) measureStartUp({ coblock, folder, rounds: Number(pairs) * START_UP_ROUNDS_IN_PAIR });
  const path = fixtures(folder);
  console.log("time of the real tool / our time, medians of pairs that alternate, page cache warm");
  for (const row of rows) if (row.name.includes(filter)) print(row, measureRow(row, path, folder, Number(pairs)));
  for (const row of nbdRows) {
    if (!row.name.includes(filter)) continue;
    warm(path("mixed.raw"));
    print(row, await measureNbdRow(row, { coblock, image: path("mixed.raw"), folder, pairs: Number(pairs) }));
  }
  for (const row of httpRows) {
    if (!row.name.includes(filter)) continue;
    warm(path(row.file));
    print(row, await measureHttpRow(row, { coblock, image: path(row.file), folder, pairs: Number(pairs) }));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
