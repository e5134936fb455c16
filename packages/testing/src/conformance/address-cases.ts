/** Cases on where bytes go: size, bounds, buffers, and every edge that a request may touch. */

import { strict as assert } from "node:assert";
import { patternOf } from "./patterns.ts";
import { expectCode, type Rig } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";
import type { CaseSpec, Trial } from "./trial.ts";

export const addressCases: readonly CaseSpec[] = [
  { name: "has the size that it was made with, and reads as zeros", applies: stores, run: fresh },
  { name: "refuses what does not fit into it, and takes nothing anywhere", run: bounds },
  { name: "fills the whole buffer and nothing beside it", run: buffers },
  { name: "reads at every edge", applies: stores, run: readsAtEdges },
  { name: "writes at every edge", applies: storesWrites, run: writesAtEdges },
  { name: "takes one request as long as the disk", applies: storesWrites, run: wholeDisk },
  { name: "serves a disk that ends within a cluster", applies: storesWrites, run: oddSizes },
  { name: "serves a disk of one sector, and one of none", applies: writes, run: smallest },
];

/** Whether the subject takes writes. */
export function writes(subject: DriverSubject): boolean {
  return subject.writable !== false;
}

/** Whether what is written to the subject can be read. */
export function stores(subject: DriverSubject): boolean {
  return subject.stores !== false;
}

/** Whether the subject takes writes and keeps them. */
export function storesWrites(subject: DriverSubject): boolean {
  return stores(subject) && writes(subject);
}

async function fresh(trial: Trial): Promise<void> {
  const content = trial.subject.writable === false ? { content: new Uint8Array(trial.subject.diskSize) } : {};
  const rig = await trial.make(content);
  assert.equal(rig.node.size, trial.subject.diskSize);
  await rig.expectAll("just made");
}

async function bounds(trial: Trial): Promise<void> {
  const { node } = await trial.makeFilled();
  const { size } = node;
  const outside: readonly (readonly [offset: number, length: number])[] = [
    [size, 1],
    [size - 1, 2],
    [-1, 1],
    [size + 512, 512],
    [0, size + 1],
    [2 ** 53, 1],
    [0.5, 1],
    [Number.NaN, 1],
  ];
  for (const [offset, length] of outside) {
    const what = `${length} bytes at ${offset}`;
    await expectCode("OUT_OF_RANGE", node.read(offset, new Uint8Array(length)), `read of ${what}`);
    if (trial.subject.writable === false) continue;
    await expectCode("OUT_OF_RANGE", node.write(offset, new Uint8Array(length)), `write of ${what}`);
    await expectCode("OUT_OF_RANGE", node.writeZeroes(offset, length), `zero write of ${what}`);
    await expectCode("OUT_OF_RANGE", node.discard(offset, length), `discard of ${what}`);
  }
  for (const offset of [0, 1, size - 1, size]) {
    await node.read(offset, new Uint8Array(0));
    if (trial.subject.writable === false) continue;
    await node.write(offset, new Uint8Array(0));
    await node.writeZeroes(offset, 0);
    await node.discard(offset, 0);
  }
}

async function buffers(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  for (const [offset, length] of [
    [0, 512],
    [1, 510],
    [trial.subject.clusterSize - 7, 100],
    [rig.node.size - 3, 3],
  ] as const) {
    const memory = new Uint8Array(length + 32).fill(0xee);
    await rig.node.read(offset, memory.subarray(16, 16 + length));
    assert(
      memory.subarray(0, 16).every((byte) => byte === 0xee),
      `a read at ${offset} writes before its buffer`,
    );
    assert(
      memory.subarray(16 + length).every((byte) => byte === 0xee),
      `a read at ${offset} writes behind its buffer`,
    );
    if (stores(trial.subject)) rig.model.expect(offset, memory.subarray(16, 16 + length), "read");
  }
}

async function readsAtEdges(trial: Trial): Promise<void> {
  const rig = await trial.makeFilled();
  for (const [offset, length] of rangesAtEdges(rig)) await rig.expectRange(offset, length, `read of ${length} bytes at ${offset}`);
}

async function writesAtEdges(trial: Trial): Promise<void> {
  const rig = await trial.make();
  let tag = 0;
  for (const [offset, length] of rangesAtEdges(rig)) {
    await rig.writePattern(tag++, offset, length);
    const from = Math.max(0, offset - 600);
    await rig.expectRange(from, Math.min(rig.node.size, offset + length + 600) - from, `after a write of ${length} bytes at ${offset}`);
  }
}

async function wholeDisk(trial: Trial): Promise<void> {
  const rig = await trial.make();
  await rig.writePattern(1, 1, rig.node.size - 2);
  await rig.expectAll("all but the first and the last byte");
  await rig.writePattern(2, 0, rig.node.size);
  await rig.expectAll("all bytes");
}

async function oddSizes(trial: Trial): Promise<void> {
  const { clusterSize, sizeUnit = 1 } = trial.subject;
  for (const size of [clusterSize + sizeUnit, 2 * clusterSize - sizeUnit, 3 * clusterSize]) {
    if (size % sizeUnit !== 0 || size <= 0) continue;
    const rig = await trial.make({ size });
    assert.equal(rig.node.size, size);
    await rig.writePattern(1, size - 1, 1);
    await rig.writePattern(2, Math.max(0, size - 600), Math.min(size, 600));
    await rig.writeZeroes(Math.max(0, size - clusterSize), Math.min(clusterSize, size));
    await rig.writePattern(3, Math.max(0, size - 10), 10);
    await rig.expectAll(`a disk of ${size} bytes`);
  }
}

async function smallest(trial: Trial): Promise<void> {
  const unit = Math.max(512, trial.subject.sizeUnit ?? 1);
  const sector = await trial.make({ size: unit });
  await sector.write(0, patternOf(1, 0, unit));
  await sector.expectAll("one sector");
  const none = await trial.make({ size: 0 });
  assert.equal(none.node.size, 0);
  await expectCode("OUT_OF_RANGE", none.node.read(0, new Uint8Array(1)), "read of an empty disk");
  await none.node.flush();
}

/** Around sectors, clusters, the middle and the end; short, odd and long. */
function rangesAtEdges(rig: Rig): [offset: number, length: number][] {
  const { clusterSize } = rig.subject;
  const { size } = rig.node;
  const anchors = [0, 512, clusterSize, 2 * clusterSize, Math.floor(size / 2), size];
  const offsets = new Set(anchors.flatMap((anchor) => [anchor - 512, anchor - 1, anchor, anchor + 1]));
  const lengths = new Set([1, 511, 512, 513, clusterSize - 1, clusterSize, clusterSize + 1, 2 * clusterSize + 2]);
  const ranges: [number, number][] = [];
  for (const offset of offsets) {
    for (const length of lengths) if (offset >= 0 && length > 0 && offset + length <= size) ranges.push([offset, length]);
  }
  return ranges;
}
