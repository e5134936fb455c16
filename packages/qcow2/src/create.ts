/** Makes new images: the smallest set of metadata that counts itself, and on top of it the mapping that was asked for in advance. */

import { type BlockChild, BlockError, type CreateContext, type ImageCreation } from "@coblock/core";
import { choicesOf, type CreateChoices } from "./create-options.ts";
import { makeEncryption } from "./encryption/create-encryption.ts";
import { preallocateNew } from "./create-preallocated.ts";
import { entryFor } from "./format/entries.ts";
import { COMPRESSION_TYPE, EXTENDED_L2, EXTERNAL_DATA_FILE, FEATURE_NAMES, LAZY_REFCOUNTS, RAW_EXTERNAL_DATA } from "./format/features.ts";
import { type Geometry, geometryOf, l1EntriesFor } from "./format/geometry.ts";
import { encodeHeader, type Header, V2_HEADER_LENGTH, V3_HEADER_LENGTH } from "./format/header.ts";
import { encodeHeaderExtensions, MIN_CLUSTER_FOR_FEATURE_NAMES } from "./format/header-extensions.ts";
import { MAX_L1_BYTES } from "./format/limits.ts";
import { checkCompressionType } from "./image/cluster-codec.ts";
import { buildBlocks } from "./metadata/refcount-store.ts";
import { TableBytes } from "./metadata/table-bytes.ts";

const LUKS = 2;

/** Throws INVALID_OPTION or UNSUPPORTED_FEATURE before anything is made, else what the file throws. */
export async function createImage(options: ImageCreation, context: CreateContext): Promise<void> {
  const choices = choicesOf(options);
  await checkCompressionType(choices.compressionType, options.filename);
  const header = headerFor(choices);
  const geometry = geometryOf(header);
  const layout = layOut(geometry, header.l1Entries, choices.encryption?.areaLength ?? 0);
  const placed: Header = {
    ...header,
    l1Offset: header.l1Entries === 0 ? 0 : layout.l1First * geometry.clusterSize,
    refcountTableOffset: geometry.clusterSize,
    refcountTableClusters: layout.tableClusters,
  };
  const encryptionOffset = layout.encryptionFirst * geometry.clusterSize;
  const firstCluster = encodeFirstCluster(placed, choices, geometry, encryptionOffset);
  const encryption = choices.encryption === undefined ? undefined : await makeEncryption(choices.encryption, context);
  const file = await context.createFile(options.filename, layout.length);
  await writeMetadata(file, geometry, layout);
  if (encryption !== undefined) await file.write(encryptionOffset, encryption.area);
  await file.flush();
  await file.write(0, firstCluster);
  await file.flush();
  const data = choices.dataFile === undefined ? file : await context.createFile(choices.dataFile, choices.size);
  await preallocateNew({ file, data, header: placed, geometry, choices, transform: encryption?.transform, signal: context.signal });
}

/** Where things lie, in clusters; the refcount table is at cluster 1, then the first block, the L1 table, the other blocks, and the keys. */
interface Layout {
  readonly tableClusters: number;
  readonly blocks: readonly number[];
  readonly l1First: number;
  readonly encryptionFirst: number;
  readonly total: number;
  /** Of the file, bytes: the last table need not fill its cluster. */
  readonly length: number;
}

function layOut({ clusterSize, refcountsPerBlock }: Geometry, l1Entries: number, encryptionLength: number): Layout {
  const l1Clusters = Math.ceil((l1Entries * 8) / clusterSize);
  const encryptionClusters = Math.ceil(encryptionLength / clusterSize);
  let blockCount = 1;
  let tableClusters = 1;
  for (;;) {
    const total = 1 + tableClusters + blockCount + l1Clusters + encryptionClusters;
    const neededBlocks = Math.ceil(total / refcountsPerBlock);
    const neededTable = Math.ceil((neededBlocks * 8) / clusterSize);
    if (neededBlocks <= blockCount && neededTable <= tableClusters) break;
    blockCount = Math.max(blockCount, neededBlocks);
    tableClusters = Math.max(tableClusters, neededTable);
  }
  const firstBlock = 1 + tableClusters;
  const l1First = firstBlock + 1;
  const afterL1 = l1First + l1Clusters;
  const blocks = Array.from({ length: blockCount }, (_, index) => (index === 0 ? firstBlock : afterL1 + index - 1));
  const encryptionFirst = afterL1 + blockCount - 1;
  const total = encryptionFirst + encryptionClusters;
  const endsWithL1 = encryptionFirst === afterL1 && encryptionClusters === 0;
  const length = endsWithL1 ? l1First * clusterSize + l1Entries * 8 : total * clusterSize;
  return { tableClusters, blocks, l1First, encryptionFirst, total, length };
}

async function writeMetadata(file: BlockChild, geometry: Geometry, { tableClusters, blocks, total }: Layout): Promise<void> {
  const { clusterSize } = geometry;
  const table = new TableBytes(new Uint8Array(tableClusters * clusterSize));
  for (const [index, cluster] of blocks.entries()) table.set(index, entryFor(cluster * clusterSize, false));
  await file.write(clusterSize, table.bytes);
  const contents = buildBlocks(geometry, [...blocks.keys()], { first: 0, count: total });
  for (const [index, bytes] of contents.entries()) await file.write((blocks[index] ?? 0) * clusterSize, bytes);
}

/** All but the places of the tables. */
function headerFor(choices: CreateChoices): Header {
  const { version, clusterSize, size, extendedL2, dataFile, rawDataFile, lazyRefcounts, refcountBits, compressionType, encryption } =
    choices;
  const flag = (on: boolean, bit: bigint): bigint => (on ? bit : 0n);
  const incompatible =
    flag(extendedL2, EXTENDED_L2) | flag(dataFile !== undefined, EXTERNAL_DATA_FILE) | flag(compressionType !== 0, COMPRESSION_TYPE);
  const clusterBits = Math.log2(clusterSize);
  const refcountOrder = Math.log2(refcountBits);
  const l1Entries = l1EntriesFor(geometryOf({ version, clusterBits, refcountOrder, incompatible }), size);
  if (l1Entries * 8 > MAX_L1_BYTES)
    throw new BlockError("INVALID_OPTION", "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
  return {
    version,
    backingOffset: 0,
    backingLength: 0,
    clusterBits,
    size,
    cryptMethod: encryption === undefined ? 0 : LUKS,
    l1Entries,
    l1Offset: 0,
    refcountTableOffset: 0,
    refcountTableClusters: 0,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible,
    compatible: flag(lazyRefcounts, LAZY_REFCOUNTS),
    autoclear: flag(rawDataFile, RAW_EXTERNAL_DATA),
    refcountOrder,
    headerLength: version === 2 ? V2_HEADER_LENGTH : V3_HEADER_LENGTH,
    compressionType,
  };
}

/** Header, extensions and the name of the backing file. */
function encodeFirstCluster(
  header: Header,
  { backing, dataFile, encryption }: CreateChoices,
  { clusterSize, version }: Geometry,
  encryptionOffset: number,
): Uint8Array {
  const extensions = encodeHeaderExtensions({
    ...(backing?.format === undefined ? {} : { backingFormat: backing.format }),
    ...(dataFile === undefined ? {} : { dataFile }),
    ...(encryption === undefined ? {} : { encryption: { offset: encryptionOffset, length: encryption.areaLength } }),
    ...(version === 3 && clusterSize >= MIN_CLUSTER_FOR_FEATURE_NAMES ? { featureNames: FEATURE_NAMES } : {}),
  });
  const name = new TextEncoder().encode(backing?.filename ?? "");
  const backingOffset = header.headerLength + extensions.length;
  if (backingOffset + name.length > clusterSize) {
    throw new BlockError(
      "INVALID_OPTION",
      `the names of other files do not fit into the header, which is one cluster of ${clusterSize} bytes`,
    );
  }
  const complete = backing === undefined ? header : { ...header, backingOffset, backingLength: name.length };
  return Buffer.concat([encodeHeader(complete), extensions, name]);
}
