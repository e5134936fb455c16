/** Opens QED images. */

import { type BlockChild, type BlockDriver, BlockError, CoMutex, Guarded, type OpenContext } from "@coblock/core";
import { MetadataCheck } from "./check.ts";
import { create, createOptions } from "./create.ts";
import type { QedOptions } from "./entry.ts";
import { QedImage } from "./image.ts";
import { QedFile } from "./qed-file.ts";
import { QedTables } from "./tables.ts";

const optionNames = ["file", "backing", "l2CacheSize"];

export const driver: BlockDriver<"qed"> = Object.freeze({ name: "qed", kind: "format", optionNames, open, createOptions, create });

async function open(options: QedOptions, context: OpenContext): Promise<QedImage> {
  const { l2CacheSize } = options;
  if (l2CacheSize !== undefined && !(Number.isSafeInteger(l2CacheSize) && l2CacheSize >= 0))
    throw new BlockError("INVALID_OPTION", `l2CacheSize is a number of bytes, not ${String(l2CacheSize)}`, { node: context.nodeName });
  const file = await QedFile.read(await context.child("file", "data and metadata", options.file));
  const backing = await openBacking(options, file, context);
  if (!context.readOnly) await makeWritable(file, context);
  const lock = new CoMutex(`${context.nodeName} driver lock`, context.clock);
  const tables = await QedTables.read(file, lock, l2CacheSize);
  return new QedImage(file, backing, new Guarded(lock, tables), context);
}

async function openBacking(options: QedOptions, file: QedFile, context: OpenContext): Promise<BlockChild | undefined> {
  if (options.backing === null) return undefined;
  if (options.backing !== undefined) return context.child("backing", "backing", options.backing);
  return file.backing === undefined ? undefined : context.namedChild("backing", "backing", file.backing);
}

/**
 * Clears autoclear bits: what they speak of goes stale with whoever does not know them. An image with NEED_CHECK is checked and repaired
 * first, unless that is what it is opened for. Throws `CORRUPT_IMAGE` where that leaves it damaged: writing would make it worse.
 */
async function makeWritable(file: QedFile, context: OpenContext): Promise<void> {
  if (file.header.autoclearFeatures !== 0n) await file.updateHeader({ autoclearFeatures: 0n });
  if (!file.needsCheck || context.forCheck) return;
  const { errors, corruptions } = await new MetadataCheck(file, { repair: "all", signal: context.signal }, () => {}).run();
  if (errors + corruptions === 0) return;
  const found = `${corruptions} errors that cannot be repaired and ${errors} places that cannot be read`;
  throw new BlockError("CORRUPT_IMAGE", `${file.child.fileName} was not closed cleanly and has ${found}: open it read-only`);
}
