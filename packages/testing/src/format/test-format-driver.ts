/** Opens and makes images of the test format. */

import {
  type BlockDriver,
  BlockError,
  type CreateContext,
  type DriverEntry,
  type ImageCreation,
  type NodeOptions,
  type OpenContext,
} from "@coblock/core";
import { checkGeometry, encodeHeader, hasMagic, HEADER_SIZE, parseHeader } from "./layout.ts";
import { TestFormatImage } from "./test-format-image.ts";

/** What a node of the test format is opened with. */
export interface TestFormatOptions {
  /** Header and pages. */
  readonly file: NodeOptions;
  /** Clusters 0, 2, 4 … */
  readonly even: NodeOptions;
  /** Clusters 1, 3, 5 … */
  readonly odd: NodeOptions;
  readonly backing?: NodeOptions | null;
  /** Every write moves its cluster to a new slot. Default false. */
  readonly copyOnWrite?: boolean;
  /** Allocating requests at one time. Default: no limit. */
  readonly maxAllocations?: number;
  /** Pages in memory. Default 2: caches that are too small find more mistakes. */
  readonly cachePages?: number;
}

declare module "@coblock/core" {
  interface DriverOptions {
    "test-format": TestFormatOptions;
  }
}

const driver: BlockDriver<"test-format"> = Object.freeze<BlockDriver<"test-format">>({
  name: "test-format",
  kind: "format",
  optionNames: ["file", "even", "odd", "backing", "copyOnWrite", "maxAllocations", "cachePages"],
  open,
  createOptions: [{ name: "cluster_size", type: "size", help: "bytes in a cluster, 512 to 16384", defaultValue: 4096 }],
  create,
});

/**
 * A small format that is unlike two-level tables: clusters lie in two files, each sector of a cluster is allocated for itself, clusters may
 * be compressed. It shows what the contract can carry, and is not for keeping disks in. Made files: `name`, `name.even`, `name.odd`.
 */
export const testFormatDriver: DriverEntry = {
  name: "test-format",
  kind: "format",
  probe: (head) => (hasMagic(head) ? 100 : 0),
  load: () => Promise.resolve(driver),
};

async function open(options: TestFormatOptions, context: OpenContext): Promise<TestFormatImage> {
  const file = await context.child("file", "metadata", options.file);
  const even = await context.child("even", "data", options.even);
  const odd = await context.child("odd", "data", options.odd);
  const backing = options.backing == null ? undefined : await context.child("backing", "backing", options.backing);
  if (file.size < HEADER_SIZE) throw new BlockError("CORRUPT_IMAGE", `${file.fileName}: ${file.size} bytes are too short for a header`);
  const bytes = new Uint8Array(HEADER_SIZE);
  await file.read(0, bytes);
  const { copyOnWrite = false, maxAllocations, cachePages = 2 } = options;
  const image = new TestFormatImage({
    header: parseHeader(bytes, file.fileName),
    file,
    even,
    odd,
    backing,
    context,
    copyOnWrite,
    maxAllocations,
    cachePages,
  });
  await image.scan();
  return image;
}

async function create({ filename, size, values }: ImageCreation, context: CreateContext): Promise<void> {
  const clusterSize = Number(values["cluster_size"]);
  checkGeometry({ size, clusterSize }, filename);
  const file = await context.createFile(filename, HEADER_SIZE);
  await context.createFile(`${filename}.even`, 0);
  await context.createFile(`${filename}.odd`, 0);
  await file.write(0, encodeHeader({ size, clusterSize, backingLimit: size, dirty: false }));
  await file.flush();
}
