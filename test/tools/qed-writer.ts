/** A process that writes into a QED image as fast as it can and says what is done, until it is killed. */

import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import { killWrites } from "./qed-kill-writes.ts";

const LANES = 8;

const [image = "", seed = ""] = process.argv.slice(2);
const graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qedDriver], implicitOpen: "allow" });
const disk = await graph.open({ driver: "qed", file: image });
const writes = killWrites(Number(seed));

async function write(lane: number): Promise<void> {
  for (let index = lane; index < writes.length; index += LANES) {
    const next = writes[index];
    if (next === undefined) return;
    await disk.write(next.offset, new Uint8Array(next.length).fill(next.pattern));
    process.stdout.write(`wrote at offset ${next.offset}\n`);
  }
}
await Promise.all(Array.from({ length: LANES }, (_, lane) => write(lane)));
// The image stays open until the end comes from outside.
process.stdin.resume();
