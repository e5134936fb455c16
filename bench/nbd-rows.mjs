/** What is measured of NBD: the same client at `coblock nbd serve` and at qemu-nbd, both serving a raw file from the page cache. */

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";

function fio(name, target, words) {
  return {
    name,
    target,
    /** Seconds for 10,000 requests, by what fio counts in two seconds. */
    seconds: (uri) => {
      const job = ["--name=job", "--ioengine=nbd", `--uri=${uri}`, "--size=256M", "--time_based", "--runtime=2", "--output-format=json"];
      const output = run("fio", [...job, ...words]);
      const [found] = JSON.parse(output.slice(output.indexOf("{"))).jobs;
      return 10_000 / (found.read.iops + found.write.iops);
    },
  };
}

export const nbdRows = [
  fio("nbd d64", "2.2", ["--rw=randread", "--bs=4k", "--iodepth=64"]),
  fio("nbd d1", "1.3", ["--rw=randread", "--bs=4k", "--iodepth=1"]),
  fio("nbd-bulk read", "1.7", ["--rw=read", "--bs=1M", "--iodepth=8"]),
  fio("nbd-bulk write", "1.8", ["--rw=write", "--bs=1M", "--iodepth=8"]),
  {
    name: "nbd-copy",
    target: "1",
    seconds: (uri) => {
      const start = performance.now();
      run("nbdcopy", [uri, "null:"]);
      return (performance.now() - start) / 1000;
    },
  },
];

/** Alternating pairs; one server each for the whole row, so that both have warmed up. */
export async function measureNbdRow(row, { coblock, image, folder, pairs }) {
  const copy = join(folder, "theirs.raw");
  if (!existsSync(copy)) copyFileSync(image, copy);
  const sockets = ["ours.sock", "theirs.sock"].map((name) => join(folder, name));
  const servers = [
    spawn(coblock, ["nbd", "serve", "-q", "-w", "-f", "raw", "-k", sockets[0], image], { stdio: "ignore" }),
    spawn("qemu-nbd", ["-t", "-e", "0", "-f", "raw", "-k", sockets[1], copy], { stdio: "ignore" }),
  ];
  const seconds = [[], []];
  try {
    for (const socket of sockets) await appears(socket);
    for (const socket of sockets) row.seconds(uriOf(socket));
    for (let pair = 0; pair < pairs; pair++)
      for (const turn of [0, 1]) seconds[(pair + turn) % 2].push(row.seconds(uriOf(sockets[(pair + turn) % 2])));
  } finally {
    for (const server of servers) await ended(server);
  }
  return [
    { name: "coblock", seconds: seconds[0] },
    { name: "qemu-nbd", seconds: seconds[1] },
  ];
}

function uriOf(socket) {
  return `nbd+unix:///?socket=${socket}`;
}

async function appears(socket) {
  for (let attempt = 0; attempt < 500 && !existsSync(socket); attempt++) await new Promise((resolve) => setTimeout(resolve, 20));
  if (!existsSync(socket)) throw new Error(`no server came up at ${socket}`);
}

async function ended(server) {
  if (server.exitCode !== null) return;
  const exited = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGTERM");
  await exited;
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stderr}`);
  return stdout;
}
