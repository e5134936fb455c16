/** The guided tour: makes a chain of real files, writes through it, looks at it, converts it, and says what it does line by line. */

import { createHash } from "node:crypto";
import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, copyDisk, fileDriver, rawDriver } from "../packages/core/dist/index.js";
import { qcow2Driver } from "../packages/qcow2/dist/index.js";
import { qedDriver } from "../packages/qed/dist/index.js";

/** @typedef {import("../packages/core/dist/index.js").BlockNode} BlockNode */

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const encoder = new TextEncoder();

const folder = mkdtempSync(join(tmpdir(), "coblock-tour-"));
const base = join(folder, "base.raw");
const middle = join(folder, "middle.qed");
const top = join(folder, "top.qcow2");
const flat = join(folder, "flat.qcow2");

let steps = 0;
/** @param {string} words */
function say(words) {
  steps++;
  process.stdout.write(`${String(steps).padStart(2)}. ${words}\n`);
}
/** @param {string} words */
function show(words) {
  process.stdout.write(`      ${words}\n`);
}

say(`A scratch folder: ${folder}`);

const graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver], implicitOpen: "allow" });
try {
  await makeChain();
  const disk = await graph.open(top, { readOnly: true });
  await lookAt(disk);
  await flatten(disk);
} finally {
  await graph[Symbol.asyncDispose]();
}
say("The files:");
for (const file of [base, middle, top, flat]) show(`${file}  (${Math.round(statSync(file).blocks / 2)} KiB on disk)`);
show(`Go on with: npm start -- info --backing-chain ${top}`);

async function makeChain() {
  say("base.raw: a raw disk of 64 MiB, with text every 8 MiB.");
  await graph.create({ driver: "raw", filename: base, size: SIZE });
  await withDisk(base, "raw", async (disk) => {
    for (let offset = 0; offset < SIZE; offset += 8 * MIB) await disk.write(offset, line(`base at ${offset / MIB} MiB`));
  });

  say("middle.qed: a QED overlay on it. What is written here hides the base, the rest shows through.");
  await graph.create({ driver: "qed", filename: middle, size: SIZE, backing: { filename: "base.raw", format: "raw" } });
  await withDisk(middle, "qed", async (disk) => {
    await disk.write(8 * MIB, line("middle at 8 MiB"));
    await disk.writeZeroes(16 * MIB, 4 * MIB);
  });

  say("top.qcow2: a qcow2 overlay on that one. Four writers at a time write to it.");
  await graph.create({ driver: "qcow2", filename: top, size: SIZE, backing: { filename: "middle.qed", format: "qed" } });
  await withDisk(top, "qcow2", async (disk) => {
    const writers = [0, 1, 2, 3].map(async (writer) => {
      for (let step = writer; step < 32; step += 4) await disk.write(textOffset(step), line(`top, write ${step}`));
    });
    for (const result of await Promise.allSettled(writers)) if (result.status === "rejected") throw result.reason;
    await disk.flush();
  });
}

/** @param {BlockNode} disk */
async function lookAt(disk) {
  say("Read through the three layers:");
  for (const offset of [0, 8 * MIB, 16 * MIB, textOffset(1)]) show(`at ${String(offset).padStart(8)}: ${await text(disk, offset)}`);

  say("The first extents, and the layer that has them (0 is the top):");
  let shown = 0;
  for await (const extent of disk.extents()) {
    if (shown++ === 6) break;
    show(`${String(extent.offset).padStart(9)} + ${String(extent.length).padEnd(8)} ${extent.kind.padEnd(12)} layer ${extent.depth}`);
  }

  say("Check both overlays:");
  for (const node of [disk, disk.children.get("backing")?.node]) {
    const result = await node?.check({ repair: "none" });
    show(`${node?.fileName}: ${result?.corruptions} corruptions, ${result?.leaks} leaked clusters, ${result?.errors} errors`);
  }
}

/** @param {BlockNode} disk */
async function flatten(disk) {
  say("Convert the chain into one file, flat.qcow2:");
  await graph.create({ driver: "qcow2", filename: flat, size: SIZE });
  await withDisk(flat, "qcow2", (target) => copyDisk({ source: disk, target, targetIsZero: true }));
  await withDisk(flat, "qcow2", async (copy) => {
    const [chainHash, copyHash] = [await hash(disk), await hash(copy)];
    show(`SHA-256 of the chain:           ${chainHash}`);
    show(`SHA-256 of the converted image: ${copyHash}`);
    if (chainHash !== copyHash) throw new Error("the converted image differs from its source");
  });
}

/**
 * @param {string} file
 * @param {string} driver
 * @param {(disk: BlockNode) => Promise<void>} use
 */
async function withDisk(file, driver, use) {
  const disk = await graph.open(file, { driver });
  try {
    await use(disk);
  } finally {
    await disk[Symbol.asyncDispose]();
  }
}

/**
 * Offsets that are no multiple of anything.
 * @param {number} step
 */
function textOffset(step) {
  return step * 2 * MIB + 12_345;
}

/**
 * One sector that starts with `words`.
 * @param {string} words
 */
function line(words) {
  const sector = new Uint8Array(512);
  sector.set(encoder.encode(words));
  return sector;
}

/**
 * @param {BlockNode} node
 * @param {number} offset
 */
async function text(node, offset) {
  const sector = new Uint8Array(512);
  await node.read(offset, sector);
  const end = sector.indexOf(0);
  return end === 0 ? "(zeros)" : `"${new TextDecoder().decode(sector.subarray(0, end))}"`;
}

/** @param {BlockNode} node */
async function hash(node) {
  const digest = createHash("sha256");
  for await (const chunk of node.readable()) digest.update(chunk);
  return digest.digest("hex");
}
