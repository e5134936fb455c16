/** Makes new, empty images. */

import { alignUp, assert, BlockError, type CreateContext, type CreateOption, type ImageCreation } from "@coblock/core";
import { encodeBacking, HEADER_LENGTH, SECTOR_SIZE, sizeProblem, writeHeader } from "./header.ts";

export const createOptions: readonly CreateOption[] = [
  { name: "cluster_size", type: "size", help: "Cluster size (in bytes)", defaultValue: 65536 },
  {
    name: "preallocation",
    type: "choice",
    choices: ["off", "metadata", "falloc", "full"],
    help: "Preallocation mode of the new file, which holds tables alone (allowed values: off, falloc, full)",
    defaultValue: "off",
  },
  { name: "table_size", type: "size", help: "L1/L2 table size (in clusters)", defaultValue: 4 },
];

/**
 * One header cluster, then the L1 table. The new file reads as zeros, so only the header is written. A backing format is kept where it
 * is raw: QED has no place for another. Throws `INVALID_OPTION`.
 */
export async function create({ filename, size, values, backing }: ImageCreation, context: CreateContext): Promise<void> {
  const { cluster_size: clusterSize, table_size: tableClusters } = values;
  assert(typeof clusterSize === "number" && typeof tableClusters === "number", "options of create have defaults and types");
  const imageSize = alignUp(size, SECTOR_SIZE);
  const { name, flags, problem: nameProblem } = encodeBacking(backing);
  // QEMU makes such images, and then refuses to open them.
  const tableProblem =
    tableClusters > 1 ? undefined : "QED table size must be at least 2: QEMU cannot open an image with tables of one cluster";
  const modeProblem = values["preallocation"] === "metadata" ? "Unsupported preallocation mode: metadata" : undefined;
  const problem = sizeProblem(clusterSize, tableClusters, imageSize) ?? tableProblem ?? nameProblem ?? modeProblem;
  if (problem !== undefined) throw new BlockError("INVALID_OPTION", `${filename}: ${problem}`);
  const file = await context.createFile(filename, clusterSize + tableClusters * clusterSize);
  if (!file.growable) throw new BlockError("INVALID_OPTION", `${filename} cannot grow, and a QED image grows at the end of its file`);
  const bytes = new Uint8Array(alignUp(HEADER_LENGTH + name.length, SECTOR_SIZE));
  bytes.set(name, HEADER_LENGTH);
  writeHeader(bytes, {
    clusterSize,
    tableClusters,
    headerClusters: 1,
    features: flags,
    compatFeatures: 0n,
    autoclearFeatures: 0n,
    l1Offset: clusterSize,
    imageSize,
    backingNameOffset: name.length === 0 ? 0 : HEADER_LENGTH,
    backingNameLength: name.length,
  });
  await file.write(0, bytes);
  await file.flush();
}
