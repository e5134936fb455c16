/**
 * `node scripts/pictures.mjs`: the pictures of docs/at-the-terminal.md, made from what the command prints on a terminal. The images are
 * made by the command itself; it is told that its streams are a terminal, and what it prints is drawn as SVG.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../packages/cli/dist/index.js";
import { ROOT, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";
import { terminalSvg } from "./terminal-svg.mjs";

const FOLDER = join(ROOT, "docs/pictures");
const COLUMNS = 96;

await runScript(async () => {
  await setUp();
  const scratch = mkdtempSync(join(tmpdir(), "coblock-pictures-"));
  try {
    process.chdir(scratch);
    await makeImages();
    mkdirSync(FOLDER, { recursive: true });
    await takePictures();
  } finally {
    process.chdir(ROOT);
    rmSync(scratch, { recursive: true });
  }
});

async function makeImages() {
  await run("create -q -f qcow2 base.qcow2 10G");
  await write("base.qcow2", [...steps(60, (index) => `write -P 1 ${index * 20}M 8M`), "write -P 9 6G 300M"]);
  await run("create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2");
  await write("middle.qcow2", ["write -P 2 400M 200M", "write -z 6200M 400M", "write -P 3 9G 100M"]);
  await run("create -q -f qcow2 -o lazy_refcounts=on -b middle.qcow2 -F qcow2 overlay.qcow2");
  // Multiples of a prime, so that neighbours on the disk lie apart in the file.
  const scattered = steps(500, (index) => `write -P 4 ${((index * 7919) % 40_000) * 128}k ${128 * (1 + (index % 4))}k`);
  await write("overlay.qcow2", [...scattered, ...steps(40, (index) => `write -c -P 5 ${8192 + index}M 64k`)]);
  await run("snapshot -c first overlay.qcow2");
}

async function takePictures() {
  await picture("map-draw", "coblock map --draw overlay.qcow2");
  writeFileSync(join(FOLDER, "map.svg"), (await run("map --draw --output=svg overlay.qcow2")).stdout);
  await picture("info", "coblock info overlay.qcow2");
  await picture("backing-chain", "coblock info --backing-chain overlay.qcow2");
  await picture("hints", "coblock covnert", "coblock info overley.qcow2", "coblock map -f qed overlay.qcow2");
  await picture("help", "coblock --help");
  const { bars } = await run("convert -O raw -r 150M overlay.qcow2 copy.raw");
  const line = "coblock convert -O qcow2 overlay.qcow2 whole.qcow2";
  writeFileSync(join(FOLDER, "progress.svg"), terminalSvg(`$ ${line}\n${bars.at(Math.floor(bars.length / 2)) ?? ""}\n`, COLUMNS, line));
}

/**
 * What stands on the terminal after these lines.
 * @param {string} name
 * @param {readonly string[]} lines
 */
async function picture(name, ...lines) {
  let text = "";
  for (const line of lines) text += `$ ${line}\n${(await run(line.replace(/^coblock /, ""))).both}`;
  writeFileSync(join(FOLDER, `${name}.svg`), terminalSvg(text, COLUMNS, lines.join("; ")));
}

/** @param {string} words */
async function run(words) {
  const written = { stdout: "", both: "", bars: /** @type {string[]} */ ([]) };
  const stream = (/** @type {boolean} */ isOutput) => ({
    isTTY: true,
    columns: COLUMNS,
    write(/** @type {string} */ text) {
      if (isOutput) written.stdout += text;
      if (text.startsWith("\r")) written.bars.push(text.replace("\r", "").replace("\u001b[K", ""));
      else written.both += text;
    },
  });
  await main(words.split(" "), { stdout: stream(true), stderr: stream(false), env: {} });
  written.bars = written.bars.filter((bar) => bar !== "");
  return written;
}

/**
 * @param {string} image
 * @param {readonly string[]} commands  Of qemu-io.
 */
async function write(image, commands) {
  const words = ["io", "-f", "qcow2", ...commands.flatMap((command) => ["-c", command]), image];
  const sink = { write: () => {} };
  const exitCode = await main(words, { stdout: sink, stderr: process.stderr, env: {} });
  if (exitCode !== 0) throw new Error(`could not write to ${image}`);
}

/**
 * @param {number} count
 * @param {(index: number) => string} make
 */
function steps(count, make) {
  return Array.from({ length: count }, (_, index) => make(index));
}
