/** An open qcow2 image: what core's mapping engine asks of a format, handed on to the files that know. */

import type {
  AmendOptions,
  Allocation,
  AllocationRequest,
  BlockChild,
  CheckOptions,
  CheckResult,
  CreateValue,
  Finding,
  Guarded,
  GuardedHeld,
  HostSpan,
  ImageInfo,
  ImageLimits,
  Intent,
  MappedImage,
  Mapping,
  NamedFile,
  OpenContext,
  PreparedReopen,
  ResizeOptions,
  Transform,
  Wait,
} from "@coblock/core";
import { assert, BlockError } from "@coblock/core";
import { SECTOR_LENGTH, type SlotChange } from "@coblock/crypto";
import { amendImage, type OpenTables } from "../amend/amend-image.ts";
import { changeKeys } from "../encryption/change-keys.ts";
import type { Keys } from "../encryption/open-encryption.ts";
import { KNOWN_AUTOCLEAR, RAW_EXTERNAL_DATA } from "../format/features.ts";
import { type Geometry, geometryOf } from "../format/geometry.ts";
import { checkImage } from "../maintenance/check.ts";
import { behave, type Behaviour, behaviourOf } from "../metadata/behaviour.ts";
import { cacheSizesOf } from "../metadata/cache-sizes.ts";
import { loadMetadata } from "../metadata/open-metadata.ts";
import type { Metadata, WritableMetadata } from "../metadata/metadata.ts";
import { cutUnusedEnd } from "../metadata/unused-end.ts";
import type { BehaviourOptions, CacheOptions } from "../options.ts";
import { abandon, allocate, allocateNow, type AllocateParts, link, linkNow, type Ticket } from "./allocate.ts";
import { CacheControl } from "./cache-control.ts";
import { changeBacking } from "./change-backing.ts";
import { type ClearParts, unmapClusters, zeroClusters } from "./clear.ts";
import { ClusterCodec } from "./cluster-codec.ts";
import type { Description } from "./description.ts";
import { hasHolesBelow } from "./holes-below.ts";
import { describeImage } from "./info.ts";
import { lookup, type LookupParts } from "./lookup.ts";
import { inactiveL2Clusters } from "../snapshots/inactive-tables.ts";
import { Qcow2Snapshots } from "../snapshots/snapshots.ts";
import type { ImageOwner } from "./image-owner.ts";
import { PersistentBitmaps } from "../bitmaps/persistent-bitmaps.ts";
import { readDescription, readHeader } from "./read-header.ts";
import { resizeImage } from "./resize.ts";
import { Qcow2VmState, type VmStateParts } from "./vm-state.ts";

export interface Qcow2ImageParts {
  readonly description: Description;
  readonly geometry: Geometry;
  readonly state: Guarded<Metadata>;
  readonly file: BlockChild;
  readonly data: BlockChild;
  readonly backing: BlockChild | undefined;
  readonly context: OpenContext;
  readonly size: number;
  /** Why the guest's bytes cannot be read. */
  readonly unreadable: BlockError | undefined;
  /** The image is encrypted. */
  readonly transform: Transform | undefined;
  /** It was opened with its passphrase. */
  readonly keys: Keys | undefined;
  /** The disk is what it was when a snapshot was made. */
  readonly showsSnapshot: boolean;
  /** With which it was opened. */
  readonly options: CacheOptions & BehaviourOptions;
}

export class Qcow2Image implements MappedImage<Metadata, Ticket> {
  readonly clusterSize: number;
  readonly subclusterSize: number;
  readonly limits: ImageLimits;
  readonly state: Guarded<Metadata>;
  backing: BlockChild | undefined;
  readonly storage: readonly BlockChild[];
  readonly snapshots: Qcow2Snapshots;
  readonly vmState: Qcow2VmState;
  /** Absent where the disk is that of a snapshot, of which bitmaps say nothing. */
  readonly bitmaps?: PersistentBitmaps;
  readonly compressionUnit?: number;
  readonly encode?: (unit: Uint8Array) => Promise<Uint8Array | undefined>;
  readonly #owner: ImageOwner;
  #parts: Qcow2ImageParts;
  #lookup: LookupParts;
  readonly #caches: CacheControl;
  readonly #bitmaps: PersistentBitmaps;
  #description: Description;
  #size: number;
  #options: CacheOptions & BehaviourOptions;

  constructor(parts: Qcow2ImageParts) {
    const { geometry, file, data, backing, context, unreadable, transform, description } = parts;
    const codec = new ClusterCodec(context, description.header.compressionType);
    this.#parts = parts;
    this.#description = description;
    this.#size = parts.size;
    this.#options = parts.options;
    this.#owner = this.#asOwner();
    this.snapshots = new Qcow2Snapshots(this.#owner);
    this.vmState = new Qcow2VmState(() => this.#vmStateParts());
    this.#bitmaps = new PersistentBitmaps(this.#owner);
    if (!parts.showsSnapshot) this.bitmaps = this.#bitmaps;
    this.#lookup = { geometry, data, codec, unreadable, transform };
    this.clusterSize = geometry.clusterSize;
    this.subclusterSize = geometry.subclusterSize;
    const encrypted = description.header.cryptMethod !== 0;
    this.limits = {
      requestAlignment: encrypted ? SECTOR_LENGTH : 1,
      zeroAlignment: geometry.subclusterSize,
      discardAlignment: geometry.clusterSize,
    };
    this.state = parts.state;
    this.#caches = new CacheControl(parts.state, geometry, context.clock, parts.options);
    this.backing = backing;
    this.storage = data === file ? [file] : [file, data];
    if (geometry.externalData || encrypted) return;
    this.compressionUnit = geometry.clusterSize;
    this.encode = (unit) => this.#lookup.codec.encode(unit);
  }

  get size(): number {
    return this.#size;
  }

  lookup(metadata: Metadata, offset: number, length: number, intent: Intent): Mapping | Wait {
    return lookup(metadata, this.#lookup, offset, length, intent);
  }

  /** Autoclear features that are unknown go, since nobody keeps up what they promise. */
  async prepareWrite(metadata: Metadata): Promise<void> {
    await metadata.file.clearAutoclear(metadata.file.autoclear & ~KNOWN_AUTOCLEAR);
    await this.#bitmaps.markFollowing(metadata);
  }

  allocate(metadata: Metadata, request: AllocationRequest): Promise<Allocation<Ticket> | Wait> {
    return allocate(this.#allocateParts(metadata), request);
  }

  allocateNow(metadata: Metadata, request: AllocationRequest): Allocation<Ticket> | undefined {
    return allocateNow(this.#allocateParts(metadata), request);
  }

  linkNow(metadata: Metadata, allocation: Allocation<Ticket>): boolean {
    return linkNow(this.#allocateParts(metadata), allocation);
  }

  link(metadata: Metadata, allocation: Allocation<Ticket>): Promise<void> {
    return link(this.#allocateParts(metadata), allocation);
  }

  abandon(metadata: Metadata, allocation: Allocation<Ticket>): Promise<void> {
    return abandon(this.#allocateParts(metadata), allocation);
  }

  zero(metadata: Metadata, offset: number, length: number, { mayUnmap }: { readonly mayUnmap: boolean }): Promise<number | Wait> {
    return zeroClusters(this.#clearParts(metadata), offset, length, mayUnmap);
  }

  unmap(metadata: Metadata, offset: number, length: number, { reveal }: { readonly reveal: boolean }): Promise<number | Wait> {
    return unmapClusters(this.#clearParts(metadata), offset, length, reveal);
  }

  async release(metadata: Metadata, spans: readonly HostSpan[]): Promise<void> {
    const { file, geometry } = this.#parts;
    for (const { child, childOffset, length } of spans) {
      assert(child === file, "space of a data file is never retired");
      await writableOf(metadata).references.release(childOffset / geometry.clusterSize, length / geometry.clusterSize);
    }
  }

  /** An image that was opened to be checked has nothing in memory to write. */
  async sync({ writable }: Metadata): Promise<void> {
    await writable?.writeOut.all();
  }

  async resize(size: number, options: ResizeOptions): Promise<void> {
    await this.#bitmaps.markAll();
    this.#size = await resizeImage(
      {
        ...this.#parts,
        description: this.#description,
        backing: this.backing,
        currentSize: this.#size,
        lookup: this.#lookup,
        clear: (metadata) => this.#clearParts(metadata),
      },
      size,
      options,
    );
    await this.#caches.fit(this.#size);
  }

  async trim(): Promise<void> {
    using guard = await this.state.lock({ who: "trim" });
    await cutUnusedEnd(guard.value, writableOf(guard.value));
  }

  async amend(values: Readonly<Record<string, CreateValue>>, options: AmendOptions): Promise<void> {
    const image = {
      owner: this.#owner,
      hasBacking: this.backing !== undefined || this.#description.header.backingOffset !== 0,
      hasBitmaps: this.#bitmaps.any,
      lock: () => this.#lockTables(),
      resize: (size: number) => this.resize(size, { preallocation: "off", shrink: true }),
      changeKeys: (change: SlotChange) => changeKeys(this.#owner, this.#parts.keys, change, options),
    };
    await amendImage(image, values, options);
  }

  async changeBacking(named: NamedFile | undefined, child: BlockChild | undefined): Promise<void> {
    using guard = await this.state.lock();
    this.#description = await changeBacking(guard.value.file, this.#description, named);
    this.backing = child;
  }

  async check(options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
    if (options.repair !== "none" && options.dryRun !== true) this.#refuseRepairInUse();
    using guard = await this.state.lock();
    await guard.value.writable?.writeOut.clean();
    return await checkImage({ file: this.#parts.file, clock: this.#parts.context.clock, size: this.#size }, options, report);
  }

  async hasHolesBelow(): Promise<boolean> {
    using guard = await this.state.lock({ who: "status" });
    return await hasHolesBelow(guard.value, this.#description.header);
  }

  info(): ImageInfo {
    return describeImage(this.#description);
  }

  inspect(): object {
    const counters = this.state.runSync(({ l2, writable }) => ({
      l2Cache: l2.statistics,
      refcountCache: writable?.refcounts.blocks.statistics,
    }));
    return counters?.value ?? {};
  }

  async reopen(options: CacheOptions & BehaviourOptions): Promise<PreparedReopen> {
    const changed = { ...this.#options, ...options };
    const behaviour = behaviourOf(changed, this.#description.header, this.#parts.context.discard);
    const inactiveL2 = await this.#inactiveL2(behaviour);
    const caches = await this.#caches.prepare(changed, this.#size);
    return {
      commit: async () => {
        await caches.commit();
        using guard = await this.state.lock({ who: "other options" });
        const { writable } = guard.value;
        if (writable !== undefined) behave(writable, behaviour);
        writable?.map.placeInactiveL2(inactiveL2);
        this.#options = changed;
      },
      abort: () => caches.abort(),
    };
  }

  async #inactiveL2({ checked }: Behaviour): Promise<ReadonlySet<number>> {
    using guard = await this.state.lock({ who: "reopen" });
    return await inactiveL2Clusters(guard.value, this.#description.snapshots, checked);
  }

  quiesce(): Promise<AsyncDisposable> {
    return this.#caches.quiesce();
  }

  /** The engine has written everything out, and core closes the children. No coroutine runs afterwards, and no refcount stays behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#caches.quiesce();
    using guard = await this.state.lock({ who: "close" });
    const { file, writable } = guard.value;
    if (file.countsBehind && !file.failed) await writable?.writeOut.clean();
  }

  /** What is in memory of an image in use would be written over what was repaired. */
  #refuseRepairInUse(): void {
    const { forCheck, fileName, nodeName } = this.#parts.context;
    if (!forCheck)
      throw new BlockError("NOT_ALLOWED", `${fileName}: to be repaired, an image is opened to be checked (forCheck)`, { node: nodeName });
  }

  #asOwner(): ImageOwner {
    const { state, context } = this.#parts;
    const geometry = (): Geometry => this.#parts.geometry;
    const description = (): Description => this.#description;
    const size = (): number => this.#size;
    return {
      state,
      context,
      get geometry() {
        return geometry();
      },
      get description() {
        return description();
      },
      get size() {
        return size();
      },
      changed: (changed, newSize) => {
        this.#description = changed;
        this.#size = newSize;
      },
    };
  }

  #allocateParts(metadata: Metadata): AllocateParts {
    const { data, transform } = this.#parts;
    return { metadata, writable: writableOf(metadata), data, transform };
  }

  #vmStateParts(): VmStateParts {
    return { ...this.#parts, size: this.#size, lookup: this.#lookup, clear: (metadata) => this.#clearParts(metadata) };
  }

  async #lockTables(): Promise<Disposable & OpenTables> {
    const guard = await this.state.lock({ who: "amend" });
    return {
      get metadata() {
        return guard.value;
      },
      reload: () => this.#reload(guard),
      [Symbol.dispose]: () => guard[Symbol.dispose](),
    };
  }

  /** With everything written out, and no request beside: what is on disk takes the place of what is in memory. */
  async #reload(guard: GuardedHeld<Metadata>): Promise<void> {
    const { file, context } = this.#parts;
    try {
      const description = { ...(await readDescription(file, await readHeader(file))), luks: this.#description.luks };
      const geometry = geometryOf(description.header);
      const cacheSizes = cacheSizesOf(this.#options, geometry, this.#size);
      if (geometry.version === 2) this.#options = { ...this.#options, lazyRefcounts: undefined, discardNoUnref: undefined };
      const behaviour = behaviourOf(this.#options, description.header, context.discard);
      const metadata = await loadMetadata({ file, geometry, places: description, context, cacheSizes, behaviour }, this.state.mutex);
      metadata.writable?.map.placeInactiveL2(await inactiveL2Clusters(metadata, description.snapshots, behaviour.checked));
      guard.replace(metadata);
      this.#parts = { ...this.#parts, description, geometry };
      this.#lookup = { ...this.#lookup, geometry, codec: new ClusterCodec(context, description.header.compressionType) };
      this.#description = description;
    } catch (cause) {
      const message = `${context.fileName}: the image was changed, and cannot be read again`;
      const error = new BlockError("IO", message, { node: context.nodeName, cause });
      context.fail(error);
      throw error;
    }
  }

  #clearParts(metadata: Metadata): ClearParts {
    const { header } = this.#description;
    return {
      metadata,
      writable: writableOf(metadata),
      data: this.#parts.data,
      hasBacking: this.backing !== undefined || header.backingOffset !== 0,
      rawDataFile: (header.autoclear & RAW_EXTERNAL_DATA) !== 0n,
    };
  }
}

function writableOf({ writable }: Metadata): WritableMetadata {
  assert(writable !== undefined, "an image that is written was opened for writing");
  return writable;
}
