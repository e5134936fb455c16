/** How long the command takes to begin: `coblock info` beside a Node that does nothing, by the clock and by the processor. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { qemuImg } from "./fixtures.mjs";

/** Milliseconds that a start may take longer than bare Node's. */
const TARGET_MS = 20;
const MEMBERS = ["wall", "processor"];

export const startUpRow = { name: "start-up", target: `${TARGET_MS} ms more` };

/** Prints medians of `rounds` that alternate, and of their differences. */
export function measureStartUp({ coblock, folder, rounds }) {
  const image = join(folder, "start-up.qcow2");
  qemuImg("create", "-q", "-f", "qcow2", image, "10G");
  const candidates = {
    node: [process.execPath, "-e", "0"],
    coblock: [process.execPath, coblock, "info", image],
  };
  const samples = { node: [], coblock: [] };
  for (const words of Object.values(candidates)) timeOf(words);
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? ["node", "coblock"] : ["coblock", "node"]) samples[name].push(timeOf(candidates[name]));
  const parts = MEMBERS.map((member) => {
    const [bare, ours] = [samples.node, samples.coblock].map((list) => median(list.map((sample) => sample[member])));
    const more = median(samples.coblock.map((sample, index) => sample[member] - samples.node[index][member]));
    return `${member} ${ours.toFixed(0)} ms, node ${bare.toFixed(0)} ms: ${more.toFixed(1)} ms more`;
  });
  console.log(`${startUpRow.name.padEnd(22)} to reach ${startUpRow.target.padEnd(12)} ${parts.join("   ")}`);
}

/** Milliseconds; the shell knows what its child took of the processor. */
function timeOf(words) {
  const script = `TIMEFORMAT='%3R %3U %3S'; time "$@" >/dev/null`;
  const { status, stderr } = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
  const [wall = 0, user = 0, system = 0] = stderr
    .trim()
    .split(" ")
    .map((seconds) => Number(seconds) * 1000);
  return { wall, processor: user + system };
}

function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
