/** Makes a qcow2 image, writes one sector, opens the image again by its name and reads the sector. */

import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";

await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver] });
await graph.create({ driver: "qcow2", filename: "disk.qcow2", size: 1024 ** 3 });
{
  await using disk = await graph.open("disk.qcow2");
  await disk.write(512, new TextEncoder().encode("Hello from sector 1.".padEnd(512, "\0")));
}

await using disk = await graph.open({ driver: "qcow2", file: "disk.qcow2", readOnly: true });
const sector = new Uint8Array(512);
await disk.read(512, sector);
console.log(new TextDecoder().decode(sector.subarray(0, sector.indexOf(0))));
