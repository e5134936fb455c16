/** What is measured: the same words to both tools, by row. `against` are qemu-img's modes: its default first, then its best. */

import { qemuImg, SECRET } from "./fixtures.mjs";

const READ_COUNT = 75_000;
const STEP = 1028 * 1024;

/** Seconds that a `bench` command says it took. */
export function printedSeconds(output) {
  const match = /Run completed in ([0-9.]+) seconds/.exec(output);
  if (match === null) throw new Error(`no time in: ${output}`);
  return Number(match[1]);
}

function reads(name, file, format, { depth, length, step, target, count = READ_COUNT, image = file, words = [] }) {
  const args = ["bench", ...words, "-f", format, "-c", String(count), "-d", String(depth), "-s", String(length), "-S", String(step)];
  return {
    name,
    files: [file],
    target,
    seconds: "printed",
    ours: (path) => [...args, path(image)],
    against: [
      { mode: "threads", args: (path) => [...args, path(image)] },
      { mode: "io_uring", args: (path) => [...args.slice(0, 1), "-i", "io_uring", ...args.slice(1), path(image)] },
    ],
  };
}

/** 4 KiB into space that is there. */
function writes(name, depth, target) {
  return reads(name, "read.qcow2", "qcow2", { depth, length: 4096, step: STEP, target, words: ["-w"] });
}

/** 64 KiB each, one after the other, into a new image for every run. */
function allocates(name, target) {
  const count = 6000;
  const args = ["bench", "-w", "-f", "qcow2", "-c", String(count), "-d", "16", "-s", "65536"];
  const modes = [[], [], ["-i", "io_uring"]].map((flags) => (_path, output) => [args[0], ...flags, ...args.slice(1), output]);
  return {
    name,
    files: [],
    target,
    seconds: "printed",
    output: "out.qcow2",
    prepare: (output) => qemuImg("create", "-q", "-f", "qcow2", output, String(count * 65536)),
    ours: modes[0],
    against: [
      { mode: "threads", args: modes[1] },
      { mode: "io_uring", args: modes[2] },
    ],
  };
}

/** `words`: to both tools. `empty`: what the same command is timed on for its start-up, which is then taken off. */
function converts(name, file, from, to, target, { empty, words = [] } = {}) {
  const args = ["convert", ...words, "-f", from, "-O", to];
  const modes = [[], [], ["-m", "16", "-W"]].map((flags) => (source) => (path, output) => [
    args[0],
    ...flags,
    ...args.slice(1),
    path(source),
    output,
  ]);
  const [ours, plain, best] = modes.map((mode) => mode(file));
  return {
    name,
    files: [file],
    target,
    seconds: "wall",
    ...(empty === undefined ? {} : { startUp: (candidate) => modes[candidate](empty) }),
    output: `out.${to}`,
    ours,
    against: [
      { mode: "default", args: plain },
      { mode: "-m 16 -W", args: best },
    ],
  };
}

/** Key derivation is taken off. */
function deciphers(name, file, empty, target) {
  const convert = (source, flags) => (path, output) => {
    const options = `driver=qcow2,file.filename=${path(source)},encrypt.key-secret=sec0`;
    return ["convert", ...flags, ...SECRET, "--image-opts", options, "-O", "raw", output];
  };
  const modes = [[], [], ["-m", "16", "-W"]];
  return {
    name,
    files: [file],
    target,
    seconds: "wall",
    startUp: (candidate) => convert(empty, modes[candidate]),
    output: "out.raw",
    ours: convert(file, modes[0]),
    against: [
      { mode: "default", args: convert(file, modes[1]) },
      { mode: "-m 16 -W", args: convert(file, modes[2]) },
    ],
  };
}

function maps(file) {
  return (path) => ["map", "--output=json", "-f", "qcow2", path(file)];
}

function checks(file) {
  return (path) => ["check", "-f", "qcow2", path(file)];
}

export const rows = [
  reads("read-d1 raw", "read.raw", "raw", { depth: 1, length: 4096, step: STEP, target: "8 / 1" }),
  reads("read-d1 qcow2", "read.qcow2", "qcow2", { depth: 1, length: 4096, step: STEP, target: "8 / 1" }),
  reads("read-d64 raw", "read.raw", "raw", { depth: 64, length: 4096, step: STEP, target: "3 / 1" }),
  reads("read-d64 qcow2", "read.qcow2", "qcow2", { depth: 64, length: 4096, step: STEP, target: "3 / 1" }),
  reads("read-chain", "chain.qcow2", "qcow2", { depth: 1, length: 4096, step: STEP, target: "5" }),
  reads("read-64k", "read.qcow2", "qcow2", { depth: 16, length: 65536, step: 1088 * 1024, target: "1.3 / 1", count: 40_000 }),
  writes("write-d1", 1, "8"),
  writes("write-d64", 64, "2.5"),
  allocates("alloc", "1.2"),
  converts("conv-raw", "mixed.raw", "raw", "raw", "1.6 / 0.95"),
  converts("conv-qcow2 to raw", "mixed.qcow2", "qcow2", "raw", "1.6 / 0.95"),
  converts("conv-qcow2 from raw", "mixed.raw", "raw", "qcow2", "1.6 / 0.95"),
  converts("conv-qed", "mixed.qed", "qed", "raw", "1.6 (QED)"),
  converts("conv-sparse raw", "sparse.raw", "raw", "raw", "1", { empty: "empty.raw" }),
  converts("conv-sparse qcow2", "sparse.qcow2", "qcow2", "raw", "1", { empty: "empty.qcow2" }),
  converts("conv-zlib", "zlib.qcow2", "qcow2", "raw", "2 / 1.5"),
  converts("conv-zstd", "zstd.qcow2", "qcow2", "raw", "1.4 / 1.15"),
  converts("comp-zlib", "mixed.raw", "raw", "qcow2", "3 / 1.8", { words: ["-c"] }),
  converts("comp-zstd", "mixed.raw", "raw", "qcow2", "1.5 / 1", { words: ["-c", "-o", "compression_type=zstd"] }),
  deciphers("luks", "luks.qcow2", "empty-luks.qcow2", "2 / 1.5"),
  {
    name: "compare",
    files: ["mixed.raw", "same.raw"],
    target: "3",
    seconds: "wall",
    ours: (path) => ["compare", "-f", "raw", "-F", "raw", path("mixed.raw"), path("same.raw")],
    against: [{ mode: "default", args: (path) => ["compare", "-f", "raw", "-F", "raw", path("mixed.raw"), path("same.raw")] }],
  },
  {
    name: "map",
    files: ["map.qcow2"],
    target: "4",
    seconds: "wall",
    startUp: () => maps("empty.qcow2"),
    ours: maps("map.qcow2"),
    against: [{ mode: "default", args: maps("map.qcow2") }],
  },
  {
    name: "check",
    // Nearly all of the file is a hole, which is not read to warm it.
    files: [],
    target: "2.5",
    seconds: "wall",
    startUp: () => checks("empty.qcow2"),
    ours: checks("full.qcow2"),
    against: [{ mode: "default", args: checks("full.qcow2") }],
  },
];
