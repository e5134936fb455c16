/** Copies a disk into another format with progress, then begins a second copy and aborts it half-way. */

import { BlockGraph, copyDisk, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";

const MIB = 1024 * 1024;

await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver] });
await graph.create({ driver: "qed", filename: "source.qed", size: 64 * MIB });
await using source = await graph.open("source.qed");
for (let offset = 0; offset < source.size; offset += 8 * MIB) await source.write(offset, new Uint8Array(4 * MIB).fill(7));

await graph.create({ driver: "qcow2", filename: "copy.qcow2", size: source.size });
{
  await using target = await graph.open("copy.qcow2");
  const quarters = new Set<number>();
  await copyDisk({
    source,
    target,
    targetIsZero: true,
    onProgress: (done, total) => {
      const quarter = Math.floor((4 * done) / total);
      if (!quarters.has(quarter)) console.log(`${quarter * 25} % of ${total} bytes`);
      quarters.add(quarter);
    },
  });
}

await graph.create({ driver: "raw", filename: "second.raw", size: source.size });
await using second = await graph.open("second.raw", { driver: "raw" });
const aborter = new AbortController();
try {
  await copyDisk({
    source,
    target: second,
    signal: aborter.signal,
    onProgress: (done, total) => done > total / 2 && aborter.abort(new Error("enough")),
  });
} catch (error) {
  // Everything that was in flight has ended by now; nothing writes to the target any more.
  console.log(`aborted: ${(error as Error).message}`);
}
