/** Amends an image step by step; after each step the image is whole, and reads as before. */

import { assert, BlockError, type AmendOptions, type CreateValue } from "@coblock/core";
import type { SlotChange } from "@coblock/crypto";
import { COMPRESSION_TYPE, EXTERNAL_DATA_FILE, FEATURE_NAMES, LAZY_REFCOUNTS, RAW_EXTERNAL_DATA } from "../format/features.ts";
import {
  decodeHeader,
  encodeFeatures,
  encodeHeader,
  type Header,
  HEADER_AT,
  V2_HEADER_LENGTH,
  V3_HEADER_LENGTH,
} from "../format/header.ts";
import { type ExtensionRecord, MIN_CLUSTER_FOR_FEATURE_NAMES, withDataFile, withFeatureNames } from "../format/header-extensions.ts";
import { backingNameOf, headerSteps, recordsOf } from "../format/header-rewrite.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { orUndo } from "../metadata/undo.ts";
import { NewTables } from "../metadata/new-tables.ts";
import { readSnapshotL1 } from "../snapshots/snapshot-l1.ts";
import { switchList, writeList } from "../snapshots/snapshot-list.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import { type AmendChoices, amendChoicesOf } from "./amend-options.ts";
import { expandZeroClusters, hasCompressedClusters, l2TablesOf, type TableWalkParts } from "./expand-zeros.ts";
import { AmendProgress } from "./progress.ts";
import { changeRefcountWidth } from "./refcount-width.ts";

/** The image that is amended. */
export interface AmendedImage {
  readonly owner: ImageOwner;
  /** The backing file shows where the image has nothing. */
  readonly hasBacking: boolean;
  /** It keeps bitmaps, on disk already or from when it is closed. */
  readonly hasBitmaps: boolean;
  /** The tables, behind the driver lock. */
  lock(): Promise<Disposable & OpenTables>;
  resize(size: number): Promise<void>;
  changeKeys(change: SlotChange): Promise<void>;
}

/** Valid while the lock is held. */
export interface OpenTables {
  /** As they are now. */
  readonly metadata: Metadata;
  /** Takes over what is on disk, as if the image was opened anew. */
  reload(): Promise<void>;
}

/** What each step works on. */
interface Amendment {
  readonly owner: ImageOwner;
  readonly hasBacking: boolean;
  readonly hasBitmaps: boolean;
  readonly tables: OpenTables;
  readonly progress: AmendProgress;
}

/** In exclusive mode. Throws INVALID_OPTION before anything is changed. Upgrades first and downgrades last, as QEMU does. */
export async function amendImage(image: AmendedImage, values: Readonly<Record<string, CreateValue>>, options: AmendOptions): Promise<void> {
  const progress = new AmendProgress(options);
  const choices = amendChoicesOf(values, image.owner.description);
  const downgrades = choices.version < image.owner.description.header.version;
  if (choices.keys !== undefined) await image.changeKeys(choices.keys);
  {
    using tables = await image.lock();
    const amendment = { ...image, tables, progress };
    await writableOf(tables.metadata).writeOut.clean();
    await tables.metadata.file.flush();
    if (downgrades) await expectDowngradable(amendment, choices);
    await change(amendment, choices);
  }
  if (choices.size !== undefined && choices.size !== image.owner.size) await image.resize(choices.size);
  if (downgrades) {
    using tables = await image.lock();
    await downgrade({ ...image, tables, progress });
  }
  progress.finish();
}

/** All but the size and an older version. */
async function change(amendment: Amendment, { version, refcountBits, dataFile, dropsRawData, lazyRefcounts }: AmendChoices): Promise<void> {
  const { owner } = amendment;
  if (version > owner.description.header.version) await upgrade(amendment);
  if (refcountBits !== 2 ** owner.description.header.refcountOrder) await changeWidth(amendment, refcountBits);
  if (dataFile !== undefined) await rewriteHeader(amendment, { records: (records) => withDataFile(records, dataFile) });
  if (dropsRawData) await rewriteHeader(amendment, { fields: ({ autoclear }) => ({ autoclear: autoclear & ~RAW_EXTERNAL_DATA }) });
  const isLazy = (owner.description.header.compatible & LAZY_REFCOUNTS) !== 0n;
  if (isLazy === lazyRefcounts || version === 2) return;
  await rewriteHeader(amendment, { fields: ({ compatible }) => ({ compatible: compatible ^ LAZY_REFCOUNTS }) });
}

async function upgrade(amendment: Amendment): Promise<void> {
  await tellSnapshotSizes(amendment);
  const named = 2 ** amendment.owner.description.header.clusterBits >= MIN_CLUSTER_FOR_FEATURE_NAMES;
  await rewriteHeader(amendment, {
    fields: () => ({ version: 3, headerLength: V3_HEADER_LENGTH }),
    records: (records) => (named ? withFeatureNames(records, FEATURE_NAMES) : records),
  });
}

/** Snapshots of version 3 tell the size of their disk; in version 2 it may be left out, and is that of the image. */
async function tellSnapshotSizes({ owner, tables: { metadata } }: Amendment): Promise<void> {
  const { snapshots } = owner.description;
  if (snapshots.every(({ diskSize }) => diskSize !== undefined)) return;
  const writable = writableOf(metadata);
  const tables = new NewTables(metadata, writable);
  const prepare = async () => {
    const written = await writeList({ owner, metadata, writable }, tables, snapshots);
    await writable.writeOut.all();
    await metadata.file.flush();
    return written;
  };
  await switchList({ owner, metadata, writable }, await orUndo(prepare, [() => tables.giveBack()]));
}

async function changeWidth({ tables, progress }: Amendment, bits: number): Promise<void> {
  const { metadata } = tables;
  await changeRefcountWidth({ metadata, writable: writableOf(metadata), progress }, bits);
  await tables.reload();
}

async function expectDowngradable(amendment: Amendment, { size: newSize }: AmendChoices): Promise<void> {
  const { owner, hasBitmaps, progress } = amendment;
  const { header, snapshots } = owner.description;
  const size = newSize ?? owner.size;
  const refuse = (reason: string): never => {
    throw new BlockError("INVALID_OPTION", reason);
  };
  if ((header.incompatible & EXTERNAL_DATA_FILE) !== 0n) refuse("Cannot downgrade an image with a data file");
  if (snapshots.some(({ diskSize, vmStateSize }) => (diskSize ?? owner.size) !== size || vmStateSize >= 2 ** 32))
    refuse("Internal snapshots prevent downgrade of image");
  const others = amendment.tables.metadata.file.incompatible & ~COMPRESSION_TYPE;
  if (others !== 0n) refuse(`Cannot downgrade an image with incompatible features 0x${others.toString(16)} set`);
  if (header.cryptMethod !== 0) refuse("Cannot downgrade an encrypted image");
  if (hasBitmaps) refuse("Cannot downgrade an image with bitmaps, which would be lost: remove them first");
  const walk = await walkParts(amendment);
  progress.expect(l2TablesOf(walk.l1Tables).length);
  if (header.compressionType !== 0 && (await hasCompressedClusters(walk)))
    refuse("Cannot downgrade an image with zstd compression type and existing compressed clusters");
}

async function downgrade(amendment: Amendment): Promise<void> {
  const { tables, hasBacking } = amendment;
  const { writeOut } = writableOf(tables.metadata);
  await writeOut.clean();
  writeOut.setLazy(false);
  await expandZeroClusters(await walkParts(amendment), hasBacking);
  await writeOut.all();
  await tables.metadata.file.flush();
  const features = { incompatible: 0n, compatible: 0n, autoclear: 0n };
  await rewriteHeader(amendment, {
    fields: () => ({ version: 2, headerLength: V2_HEADER_LENGTH, ...features, compressionType: 0 }),
    records: (records) => withFeatureNames(records, []),
  });
}

async function walkParts({ owner, tables: { metadata }, progress }: Amendment): Promise<TableWalkParts> {
  const l1Tables = [metadata.l1];
  for (const snapshot of owner.description.snapshots) l1Tables.push(await readSnapshotL1(metadata, snapshot));
  return { metadata, writable: writableOf(metadata), l1Tables, progress };
}

interface HeaderChange {
  readonly fields?: (header: Header) => Partial<Header>;
  readonly records?: (records: readonly ExtensionRecord[]) => readonly ExtensionRecord[];
}

/** Of what is on disk, where all switches have gone: what was read when the image was opened may lead to tables that are long given up. */
async function rewriteHeader({ tables }: Amendment, { fields, records }: HeaderChange): Promise<void> {
  const { file, geometry } = tables.metadata;
  const cluster = new Uint8Array(geometry.clusterSize);
  await file.child.read(0, cluster.subarray(0, Math.min(cluster.length, file.size)));
  const header = decodeHeader(cluster);
  const old = recordsOf(cluster, header);
  const wanted = { ...header, ...fields?.(header) };
  const steps = headerSteps(cluster, header, {
    fields: fieldsWith(cluster, header, wanted),
    records: records?.(old) ?? old,
    name: backingNameOf(cluster, header),
  });
  await file.changeHeader(
    steps.map((bytes) => ({ at: 0, bytes })),
    wanted.autoclear,
  );
  await tables.reload();
}

/** What comes before the extensions. Fields that are unknown here stay, as long as the version does. */
function fieldsWith(cluster: Uint8Array, old: Header, wanted: Header): Uint8Array {
  if (old.version !== wanted.version) return encodeHeader(wanted);
  const fields = cluster.slice(0, old.headerLength);
  fields.set(encodeFeatures(wanted.compatible), HEADER_AT.compatible);
  fields.set(encodeFeatures(wanted.autoclear), HEADER_AT.autoclear);
  return fields;
}

function writableOf({ writable }: Metadata): WritableMetadata {
  assert(writable !== undefined, "an image that is amended was opened for writing");
  return writable;
}
