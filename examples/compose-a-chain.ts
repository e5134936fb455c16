/** Stacks qcow2 over QED over raw, once by the names in the images and once by hand, and shows which layer has what. */

import { BlockGraph, fileDriver, rawDriver, type BlockNode } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";

const MIB = 1024 * 1024;

await using graph = new BlockGraph({
  drivers: [fileDriver, rawDriver, qcow2Driver, qedDriver],
  // Images name files: this program decides which of them may be opened.
  implicitOpen: ({ target }) => target.startsWith("layer-"),
});

await graph.create({ driver: "raw", filename: "layer-0.raw", size: 8 * MIB });
await graph.create({ driver: "qed", filename: "layer-1.qed", size: 8 * MIB, backing: { filename: "layer-0.raw", format: "raw" } });
await graph.create({ driver: "qcow2", filename: "layer-2.qcow2", size: 8 * MIB, backing: { filename: "layer-1.qed", format: "qed" } });

for (const [index, name] of ["layer-0.raw", "layer-1.qed", "layer-2.qcow2"].entries()) {
  await using layer = await graph.open(name, name.endsWith(".raw") ? { driver: "raw" } : {});
  await layer.write(index * MIB, new Uint8Array(64 * 1024).fill(index + 1));
}

{
  await using chain = await graph.open("layer-2.qcow2", { readOnly: true });
  await show("by the names in the images:", chain);
}
{
  const middle = { driver: "qed", file: "layer-1.qed", backing: { driver: "raw", file: "layer-0.raw" } } as const;
  await using chain = await graph.open({ driver: "qcow2", file: "layer-2.qcow2", backing: middle, readOnly: true });
  await show("by hand:", chain);
}

async function show(title: string, chain: BlockNode): Promise<void> {
  console.log(title);
  for await (const { offset, length, kind, depth, location } of chain.extents()) {
    if (kind === "data") console.log(`  ${offset} + ${length}: layer ${depth}, ${location?.fileName} at ${location?.offset}`);
  }
}
