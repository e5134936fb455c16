/** Images behind a web server: our driver beside qemu-img's, and the bytes that each made the server send. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SERVER = join(dirname(fileURLToPath(import.meta.url)), "file-server.mjs");
const LONGEST_RUN_MS = 60_000;

export const httpRows = [
  { name: "http", file: "mixed.qcow2", target: "1" },
  { name: "http-zlib", file: "zlib.qcow2", target: "1" },
];

/** Seconds of each candidate, and a line on what was fetched. */
export async function measureHttpRow(row, { coblock, image, folder, pairs }) {
  const server = spawn(process.execPath, [SERVER, dirname(image)], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(server.stdout, "data");
    const origin = `http://127.0.0.1:${String(line).trim()}`;
    const output = join(folder, "http-out.raw");
    const words = ["-f", "qcow2", "-O", "raw", `${origin}/${row.file}`, output];
    const candidates = [
      { name: "coblock", command: coblock, args: ["convert", ...words] },
      { name: "qemu-img default", command: "qemu-img", args: ["convert", ...words] },
      { name: "qemu-img -m 16 -W", command: "qemu-img", args: ["convert", "-m", "16", "-W", ...words] },
    ];
    const seconds = candidates.map(() => []);
    const fetched = candidates.map(() => 0);
    for (let pair = 0; pair < pairs; pair++) {
      for (let turn = 0; turn < candidates.length; turn++) {
        const index = (pair + turn) % candidates.length;
        rmSync(output, { force: true });
        seconds[index].push(run(candidates[index]));
        fetched[index] = Number(await (await fetch(`${origin}/sent`)).text());
      }
    }
    rmSync(output, { force: true });
    const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const parts = candidates.map(({ name }, index) => `${name} ${mebibytes(fetched[index])}`);
    console.log(`${row.name}: the file has ${mebibytes(statSync(image).size)}; fetched: ${parts.join(", ")}`);
    return candidates.map(({ name }, index) => ({ name, seconds: seconds[index] }));
  } finally {
    server.kill();
  }
}

/** QEMU 7.2 may wait for ever even so, though seldom: that run counts as endless. */
function run({ name, command, args }) {
  const start = performance.now();
  const { status, signal, stderr } = spawnSync(command, args, { stdio: ["ignore", "ignore", "pipe"], timeout: LONGEST_RUN_MS });
  if (signal === "SIGTERM") return Number.POSITIVE_INFINITY;
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${String(stderr)}`);
  return (performance.now() - start) / 1000;
}
