/** Makes new, empty images. */

import { alignUp, assert, BlockError, type CreateContext, type CreateOption, type ImageCreation } from "@coblock/core";

import { BACKING_FILE, BACKING_FORMAT_NO_PROBE, HEADER_LENGTH, MAX_BACKING_NAME_LENGTH, type QedHeader, SECTOR_SIZE, sizeProblem, writeHeader } from "./header.ts";

export const createOptions: readonly CreateOption[] = [
  { name: "cluster_size", type: "size", help: "Cluster size (in bytes)", defaultValue: 65536 },
  { name: "table_size", type: "number", help: "L1/L2 table size (in clusters)", defaultValue: 4 },
];

/**
 * One header cluster, then the L1 table. The new file reads as zeros, so only the header is written. A backing format is kept where it
 * is raw: QED has no place for another. Throws `INVALID_OPTION`.
 */
export async function create(creation: ImageCreation, context: CreateContext): Promise<void> {
  const backingName = new TextEncoder().encode(creation.backing?.filename ?? "");
  const header = newHeader(creation, backingName.length);
  const problem = problemWith(header, backingName);
  if (problem !== undefined) throw new BlockError("INVALID_OPTION", `${creation.filename}: ${problem}`);
  const file = await context.createFile(creation.filename, header.l1Offset + header.tableClusters * header.clusterSize);
  if (!file.growable) throw new BlockError("INVALID_OPTION", `${creation.filename}: a QED image grows at the end of its file, and this one cannot grow`);
  const bytes = new Uint8Array(alignUp(HEADER_LENGTH + backingName.length, SECTOR_SIZE));
  writeHeader(bytes, header);
  bytes.set(backingName, HEADER_LENGTH);
  await file.write(0, bytes);
  await file.flush();
}

function newHeader(creation: ImageCreation, backingNameLength: number): QedHeader {
  const { cluster_size: clusterSize, table_size: tableClusters } = creation.values;
  assert(typeof clusterSize === "number" && typeof tableClusters === "number", "options of create have defaults and types");
  const noProbe = creation.backing?.format === "raw" ? BACKING_FORMAT_NO_PROBE : 0n;
  return {
    clusterSize,
    tableClusters,
    headerClusters: 1,
    features: backingNameLength === 0 ? 0n : BACKING_FILE | noProbe,
    compatFeatures: 0n,
    autoclearFeatures: 0n,
    l1Offset: clusterSize,
    imageSize: alignUp(creation.size, SECTOR_SIZE),
    backingNameOffset: backingNameLength === 0 ? 0 : HEADER_LENGTH,
    backingNameLength,
  };
}

function problemWith(header: QedHeader, backingName: Uint8Array): string | undefined {
  const { clusterSize, tableClusters, imageSize } = header;
  // QEMU makes such images, and then refuses to open them.
  if (tableClusters === 1) return "QED table size must be at least 2: QEMU cannot open an image with tables of one cluster";
  if (backingName.includes(0)) return "the backing file name contains a zero byte";
  if (backingName.length > MAX_BACKING_NAME_LENGTH) return `the backing file name has ${backingName.length} bytes, more than ${MAX_BACKING_NAME_LENGTH}`;
  return sizeProblem(clusterSize, tableClusters, BigInt(imageSize));
}
