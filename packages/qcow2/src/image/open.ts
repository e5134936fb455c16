/** Opens an image: its files, its header, and as many of its tables as the way it is opened needs. */

import { BlockError, type BlockChild, type Guarded, type OpenContext } from "@coblock/core";
import { LEGACY_AES, openEncryption } from "../encryption/open-encryption.ts";
import { CORRUPT, DIRTY } from "../format/features.ts";
import { geometryOf } from "../format/geometry.ts";
import type { Header } from "../format/header.ts";
import { checkImage } from "../maintenance/check.ts";
import { type Behaviour, behaviourOf } from "../metadata/behaviour.ts";
import { cacheSizesOf } from "../metadata/cache-sizes.ts";
import type { Metadata } from "../metadata/metadata.ts";
import { openMetadata } from "../metadata/open-metadata.ts";
import type { Qcow2Options } from "../options.ts";
import type { Description } from "./description.ts";
import { Qcow2Image } from "./image.ts";
import { inactiveL2Clusters } from "../snapshots/inactive-tables.ts";
import { checkSnapshotL1, sizeOf } from "../snapshots/snapshot-l1.ts";
import { selectedSnapshot } from "../snapshots/snapshots.ts";
import { type ImageHeader, readDescription, readHeader } from "./read-header.ts";

const SECTOR = 512;

/** Throws CORRUPT_IMAGE, UNSUPPORTED_FEATURE or IO; reads of the guest's data may still be refused where only `info` can be served. */
export async function openImage(options: Qcow2Options, context: OpenContext): Promise<Qcow2Image> {
  const file = await context.child("file", "data and metadata", options.file);
  const imageHeader = await soundHeader(file, context);
  const { header } = imageHeader;
  const { luks, transform, locked, keys } = await openEncryption(file, imageHeader, options.encrypt, context);
  const description: Description = { ...(await describe(file, imageHeader, context)), luks };
  const geometry = geometryOf(header);
  const shown = shownDisk(options, description, context);
  const size = shown.size - (shown.size % SECTOR);
  const cacheSizes = cacheSizesOf(options, geometry, size);
  const behaviour = behaviourOf(options, header, context.discard);
  const state = await openMetadata({ file, geometry, places: { ...description, header: shown }, context, cacheSizes, behaviour });
  await placeInactiveL2(state, description, behaviour);
  const data = geometry.externalData ? await openDataFile(options, description, context) : file;
  const backing = await openBacking(options, description, context);
  return new Qcow2Image({
    description,
    geometry,
    state,
    file,
    data: data instanceof BlockError ? file : data,
    backing,
    context,
    size,
    unreadable: data instanceof BlockError ? data : locked,
    transform,
    keys,
    showsSnapshot: options.snapshot !== undefined,
    options,
  });
}

/** Under the lock, as the tables are read. */
async function placeInactiveL2(state: Guarded<Metadata>, { snapshots }: Description, { checked }: Behaviour): Promise<void> {
  using guard = await state.lock({ who: "open" });
  guard.value.writable?.map.placeInactiveL2(await inactiveL2Clusters(guard.value, snapshots, checked));
}

/** The header of an image that can be used in the way it is opened for: one that was not closed cleanly is repaired before it is written. */
async function soundHeader(file: BlockChild, context: OpenContext): Promise<ImageHeader> {
  const image = await readHeader(file, context);
  if (context.readOnly || context.forCheck) return image;
  refuseWriting(image.header, context);
  if ((image.header.incompatible & DIRTY) === 0n) return image;
  return await repairDirty(file, image.header, context);
}

/** Refcounts of an image that is marked as dirty may be anything. Throws CORRUPT_IMAGE where damage is left: writing would make it worse. */
async function repairDirty(file: BlockChild, { size }: Header, { clock, signal, fileName, nodeName }: OpenContext): Promise<ImageHeader> {
  const { errors, corruptions } = await checkImage({ file, clock, size }, { repair: "all", signal }, () => {});
  if (errors + corruptions === 0) return await readHeader(file);
  const found = `${corruptions} errors that cannot be repaired and ${errors} places that cannot be checked`;
  throw new BlockError("CORRUPT_IMAGE", `${fileName}: the image was not closed cleanly and has ${found}; it can be opened read-only`, {
    node: nodeName,
  });
}

/** What lies beside the header. Where the image is opened to be checked, the check reads it and tells what cannot be. */
function describe(file: BlockChild, image: ImageHeader, { forCheck }: OpenContext): Promise<Omit<Description, "luks">> {
  if (forCheck) return Promise.resolve({ ...image, snapshots: [], snapshotTableLength: 0, bitmaps: [] });
  return readDescription(file, image);
}

/** The header, as it was when the snapshot was made that shall be shown. */
function shownDisk({ snapshot: selector }: Qcow2Options, description: Description, context: OpenContext): Header {
  const { header } = description;
  if (selector === undefined) return header;
  if (!context.readOnly)
    throw new BlockError("INVALID_OPTION", `${context.fileName}: a snapshot can be opened read-only alone; apply it to write to it`, {
      node: context.nodeName,
    });
  const snapshot = selectedSnapshot({ description, context }, selector);
  const size = sizeOf(snapshot, header.size);
  checkSnapshotL1(snapshot, geometryOf(header), size, context.fileName);
  return { ...header, size, l1Offset: snapshot.l1Offset, l1Entries: snapshot.l1Entries };
}

/** What this version does not write to, each with its reason. */
function refuseWriting(header: Header, context: OpenContext): void {
  if (header.cryptMethod === LEGACY_AES)
    throw new BlockError(
      "UNSUPPORTED_FEATURE",
      `${context.fileName}: images with the legacy encryption 'aes' can be opened read-only alone`,
      { node: context.nodeName },
    );
  if ((header.incompatible & CORRUPT) !== 0n)
    throw new BlockError(
      "CORRUPT_IMAGE",
      `${context.fileName}: the image is marked as corrupt and can be opened read-only alone; check -r all may repair it`,
      { node: context.nodeName },
    );
}

/** The data file, or why it is not there: without it the image can still tell of itself. */
async function openDataFile(options: Qcow2Options, { extensions }: Description, context: OpenContext): Promise<BlockChild | BlockError> {
  if (options.dataFile === null) {
    const absent = new BlockError("NOT_ALLOWED", `${context.fileName}: the image was opened without its data file`, {
      node: context.nodeName,
    });
    if (!context.readOnly && !context.forCheck) throw absent;
    return absent;
  }
  if (options.dataFile !== undefined) return context.child("data-file", "data", options.dataFile);
  if (extensions.dataFile === undefined)
    throw new BlockError("INVALID_OPTION", `${context.fileName}: the image needs a data file and names none; give it with dataFile`, {
      node: context.nodeName,
    });
  try {
    return await context.namedChild("data-file", "data", { filename: extensions.dataFile, format: undefined });
  } catch (error) {
    if (context.readOnly && error instanceof BlockError && error.code === "NOT_ALLOWED") return error;
    throw error;
  }
}

function openBacking(
  options: Qcow2Options,
  { backingName, extensions }: Description,
  context: OpenContext,
): Promise<BlockChild> | undefined {
  if (options.backing === null) return undefined;
  if (options.backing !== undefined) return context.child("backing", "backing", options.backing);
  if (backingName === undefined) return undefined;
  return context.namedChild("backing", "backing", { filename: backingName, format: extensions.backingFormat });
}
