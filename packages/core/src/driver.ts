/** The plug-in contract: all that the author of a protocol, format or filter needs to read. */

import type { ImageBitmaps } from "./bitmap/image-bitmaps.ts";
import type { BlockEvent } from "./block-event.ts";
import type { Breakpoints } from "./breakpoints.ts";
import type { CheckOptions, CheckResult, Finding } from "./checking.ts";
import type { BlockChild } from "./child.ts";
import type { AmendOptions, CreateContext, CreateOption, CreateValue, ImageCreation, MeasuredContent, Measurement } from "./creation.ts";
import type { Clock } from "./coroutine/clock.ts";
import type { Guarded } from "./coroutine/guarded.ts";
import type { WaitOptions } from "./coroutine/held.ts";
import type { Offload } from "./coroutine/offload.ts";
import type { BlockError } from "./errors.ts";
import type { Entropy } from "./host/entropy.ts";
import type { DriverOptions, NodeOptions } from "./options.ts";
import type { PreparedReopen } from "./reopen.ts";
import type { ImageSnapshots, SnapshotInfo } from "./snapshots.ts";
import type { ImageVmState } from "./vm-state.ts";

/** Inside the request path only: done already, or a promise. Drivers may throw synchronously or reject. */
export type MaybePromise<T> = T | Promise<T>;

export interface IoOptions extends WaitOptions {
  /** The write is on stable storage when it completes. Core emulates it with a flush. */
  readonly forceUnitAccess?: boolean;
}

/** Where a driver stands: bytes of the host, a format over them, or something in between that passes requests on. */
export type DriverKind = "protocol" | "format" | "filter";

/** What a graph is given: small, so that no format is loaded before an image needs it. */
export interface DriverEntry {
  readonly name: string;
  readonly kind: DriverKind;
  /** Protocols: prefixes of file names (`nbd+unix:…`) that it opens beside its own name. */
  readonly schemes?: readonly string[];
  /** Protocols: to open it is to connect to a server, which may serve one client and then end; so it is opened once, also where its format is probed. */
  readonly connects?: true;
  /** Whether the file is of this format, from its first bytes (at most 2,048): 0 = not mine … 100 = certain. */
  probe?(head: Uint8Array, fileName: string): number;
  /** Present where a file name may begin with the driver's name and a colon, and the driver is no protocol of plain files: its options. */
  parseFileName?(fileName: string): Readonly<Record<string, unknown>>;
  load(): Promise<BlockDriver>;
}

/** Stateless and frozen. `Name` is its key in `DriverOptions`. */
export interface BlockDriver<Name extends keyof DriverOptions = keyof DriverOptions> {
  readonly name: string;
  readonly kind: DriverKind;
  /** Names of its own options, camelCase; any other is refused by name. */
  readonly optionNames: readonly string[];
  /** Those that `reopen` of an image can change. */
  readonly reopenOptionNames?: readonly string[];
  open(options: DriverOptions[Name], context: OpenContext): Promise<BlockImage | MappedImage>;
  /** Options of `create` (qemu-img's `-o`); absent with `create`. */
  readonly createOptions?: readonly CreateOption[];
  /** Makes a new, empty image. Options were parsed and checked against `createOptions`. */
  create?(options: ImageCreation, context: CreateContext): Promise<void>;
  /** Options that `amend` can change of an image that exists, in the words of `createOptions`; absent with `ImageBasics.amend`. */
  readonly amendOptions?: readonly CreateOption[];
  /** Bytes that a new image of this format needs for the given content. */
  measure?(content: MeasuredContent): Promise<Measurement>;
}

/** What every opened image has. Absent methods are emulated by core. Core checked every argument: range, alignment, read-only. */
export interface ImageBasics extends AsyncDisposable {
  /** Bytes, now. */
  readonly size: number;
  readonly limits: ImageLimits;
  /** A write past the end makes it larger (protocols, and filters over them). */
  readonly growable?: boolean;
  /** For protocols: the file's name, for messages and as what relative names in images start from. Absent: the option `filename`. */
  readonly fileName?: string;
  /** What was never written, in a new image or in one that has grown. Absent: zeros, or what the backing file shows. */
  readonly newSpaceReads?: "anything";
  /** Names the storage itself (device and inode), so that loops in a chain are seen. */
  readonly identity?: string;
  /** Bytes that it takes on the host, where that is known. */
  allocatedSize?(): MaybePromise<number | undefined>;
  flush?(options?: IoOptions): MaybePromise<void>;
  /** Called in exclusive mode. Shrinking only with `shrink`. */
  resize?(size: number, options: ResizeOptions): Promise<void>;
  /** Called in exclusive mode; findings are handed to `report` as they are found. */
  check?(options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult>;
  /** Stops the image's own coroutines (cache cleaner, need-check) for drain and close; they go on when the result is disposed. */
  quiesce?(): Promise<AsyncDisposable>;
  /**
   * Prepares other options: all that can fail or needs I/O. Called in exclusive mode with options of `reopenOptionNames`; one that is
   * `undefined` goes back to its default. On failure everything is as it was.
   */
  reopen?(options: object): Promise<PreparedReopen>;
  /** Present where the format keeps dirty bitmaps inside the image. */
  readonly bitmaps?: ImageBitmaps;
  /** Present where the format keeps snapshots inside the image. */
  readonly snapshots?: ImageSnapshots;
  /** Present where the format has room beside the disk for the state of a machine. */
  readonly vmState?: ImageVmState;
  /**
   * Names another backing file in the image, or none; on stable storage when it returns, and a power cut leaves the old name or the new.
   * `child` shows from then on where the image has nothing. Called in exclusive mode. Throws INVALID_OPTION for a name that has no room.
   */
  changeBacking?(named: NamedFile | undefined, child: BlockChild | undefined): Promise<void>;
  /**
   * Changes options that were chosen when the image was made (`amendOptions`), on stable storage when it returns. Called in exclusive mode.
   * A power cut leaves the image readable as it was, with some of the changes made.
   */
  amend?(values: Readonly<Record<string, CreateValue>>, options: AmendOptions): Promise<void>;
  /** Never opens another file. */
  info?(): MaybePromise<ImageInfo>;
  /** Present where requests can be held back for a test. */
  readonly breakpoints?: Breakpoints;
  /** Counters and state for `graph.inspect()`. */
  inspect?(): object;
}

/** What requests must look like for an image; all in bytes. */
export interface ImageLimits {
  /** Power of two, bytes; 1 where any byte may be addressed. Core does read-modify-write for the rest. */
  readonly requestAlignment: number;
  /** Bytes; core splits longer requests. */
  readonly maxTransfer?: number;
  /** Power of two, bytes: where each request has its price, as on a server far away, reads should be so long. */
  readonly optimalTransfer?: number;
  /** Best granularity of `writeZeroes` and of `discard`, bytes: core sends `discard` only whole units. */
  readonly zeroAlignment?: number;
  readonly discardAlignment?: number;
  /** Bytes; core splits longer calls of `writeZeroes` and of `discard`. */
  readonly maxZeroes?: number;
  readonly maxDiscard?: number;
}

/** What is done in advance with the space of a new or larger image, in QEMU's words. */
export type Preallocation = "off" | "metadata" | "falloc" | "full";
/** How a size may change. */
/** A signal stops a preallocation between two of its writes; then the size is what it was. */
export interface ResizeOptions extends WaitOptions {
  readonly preallocation: Preallocation;
  readonly shrink: boolean;
}

/** Protocols and filters: bytes in, bytes out. */
export interface BlockImage extends ImageBasics {
  /** Fills all of `into` or throws. */
  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void>;
  write?(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void>;
  writeZeroes?(offset: number, length: number, options?: ZeroOptions): MaybePromise<void>;
  discard?(offset: number, length: number, options?: IoOptions): MaybePromise<void>;
  /** Stores whole units compressed where that saves space, and writes the rest as it is; only formats that compress have it. */
  writeCompressed?(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void>;
  /** Bytes of a unit of `writeCompressed`; present with it. */
  readonly compressionUnit?: number | undefined;
  /** Gives up what the image holds of whole units, so that its backing file shows there; answers whether nothing is left. */
  reveal?(offset: number, length: number): Promise<boolean>;
  /** The run that starts at `offset`, at most `length` long, at least 1 byte. Absent: all data. */
  status?(offset: number, length: number): MaybePromise<RunStatus>;
  /**
   * For protocols and filters that test: hears what the driver above is about to do, before it is done, and of read-modify-write in
   * front of this image. A promise suspends the coroutine that is there, with the locks that it holds; a rejection fails what was to
   * come. The image may not be used from within the call. A filter without it passes events on to what it filters.
   */
  event?(name: BlockEvent): MaybePromise<void>;
}
export interface ZeroOptions extends IoOptions {
  /** The space may be given back. */
  readonly mayUnmap?: boolean;
}

/** One run of equal state within one node; `unallocated` shows the backing file. */
export interface RunStatus {
  readonly kind: "data" | "zero" | "unallocated" | "compressed";
  readonly length: number;
  /** Where the bytes are as the guest has them (data), or the space reserved for them (zero, unallocated). */
  readonly location?: HostSpan;
  /** Reads as zeros for the one reason that its data lies in a hole of the file below. */
  readonly holeBelow?: boolean;
}

/**
 * Formats that translate addresses: core's mapping engine does the data I/O, the copy-on-write, the waiting and the order of steps.
 * All methods that take `state` run while the driver lock is held. `offset` and `length` are guest bytes.
 */
export interface MappedImage<State = unknown, Ticket = unknown> extends ImageBasics {
  /** Bytes, power of two: the unit in which guest ranges are claimed, and allocated unless `subclusterSize` says less. */
  readonly clusterSize: number;
  /** Bytes, power of two: the unit of allocation where it is smaller than the cluster. */
  readonly subclusterSize?: number;
  /** Allocating requests at one time; QED: 1. Absent: no limit. */
  readonly maxAllocations?: number;
  /** Caches and tables: only behind the driver lock. */
  readonly state: Guarded<State>;
  /** Backing file, if there is one: shows where `lookup` says unallocated. */
  readonly backing?: BlockChild | undefined;
  /** Children to flush after `sync`. The first one hears the events of data I/O. */
  readonly storage: readonly BlockChild[];
  /**
   * Never async: a miss starts the load and answers `Wait`; the engine unlocks, awaits, locks again and asks anew.
   * The answer starts at `offset` and covers 1 to `length` bytes. `intent` lets a format check overlaps for "write" and leave
   * its least-recently-used order alone for "status".
   */
  lookup(state: State, offset: number, length: number, intent: Intent): Mapping | Wait;
  /** Once, before the first change since it was opened (autoclear bits, GUIDs, in-use marks). */
  prepareWrite?(state: State): Promise<void>;
  /**
   * Finds room for [offset, offset + length), whole (sub)clusters within what the engine has claimed; may serve a prefix.
   * With `storedLength` it is one compressed cluster of that many bytes.
   */
  allocate?(state: State, request: AllocationRequest): Promise<Allocation<Ticket> | Wait>;
  /**
   * What `allocate` would answer, where that takes no waiting; `undefined`: it does, or there is no room, and nothing was changed. Not asked
   * while somebody hears the events of the image, or for compressed clusters. Absent: `allocate` does all.
   */
  allocateNow?(state: State, request: AllocationRequest): Allocation<Ticket> | undefined;
  /** Makes it visible in crash order; consumes the allocation also when it throws (then the mapping is as before, or new). */
  link?(state: State, allocation: Allocation<Ticket>): Promise<void>;
  /** Does what `link` does, where that takes no waiting; `false`: it does, and nothing was changed. Absent: `link` does all. */
  linkNow?(state: State, allocation: Allocation<Ticket>): boolean;
  /** Only where `link` never began, and after all of the allocation's I/O has ended. */
  abandon?(state: State, allocation: Allocation<Ticket>): Promise<void>;
  /** Makes whole clusters read as zeros; answers the bytes done, at most one table's worth; 0: core writes zeros instead. */
  zero?(state: State, offset: number, length: number, options: { readonly mayUnmap: boolean }): Promise<number | Wait>;
  /** Drops whole clusters. `reveal`: afterwards the backing file shows through; else zeros. Bytes done; 0: left as it was. */
  unmap?(state: State, offset: number, length: number, options: { readonly reveal: boolean }): Promise<number | Wait>;
  /** Gives back space that was retired and that nothing on disk or in flight refers to any more. */
  release?(state: State, spans: readonly HostSpan[]): Promise<void>;
  /** Gives the end of the file back that nothing uses; called in exclusive mode when the disk has become smaller and all that was freed is released. */
  trim?(): Promise<void>;
  /** Whether much of what it has as data may be holes of the file below. Asked once, when status is first asked for; takes the lock itself. */
  hasHolesBelow?(): Promise<boolean>;
  /** Caches out, in order; core then flushes `storage` without the lock. */
  sync?(state: State): Promise<void>;
  /** Bytes that `encode` takes at a time; present where the format can write compressed clusters. */
  readonly compressionUnit?: number;
  /** Compresses a whole unit, outside the lock; `undefined`: store it plain. */
  encode?(unit: Uint8Array): Promise<Uint8Array | undefined>;
}
/** Why an address is looked up. */
export type Intent = "read" | "write" | "status";

/** A miss: what to await before asking again. `until` may reject: the request then fails with that error. */
export interface Wait {
  readonly kind: "wait";
  readonly until: Promise<unknown>;
}

/** Valid only in the turn in which it was looked up. Users see `BlockStatus`. */
export type Mapping =
  | {
      readonly kind: "data";
      readonly length: number;
      readonly child: BlockChild;
      readonly childOffset: number;
      /** The bytes may be changed where they are. */
      readonly writable: boolean;
      readonly transform?: Transform | undefined;
    }
  /**
   * Zeros, and the backing file's bytes or zeros. `reserved`: space that is owned and not read, to be told of; not where data is encrypted.
   */
  | {
      readonly kind: "zero" | "unallocated";
      readonly length: number;
      readonly reserved?: { readonly child: BlockChild; readonly childOffset: number } | undefined;
    }
  /** Compressed: `stored` decodes to one unit of `unitLength` bytes, of which the bytes from `skip` on are wanted. */
  | {
      readonly kind: "encoded";
      readonly length: number;
      readonly stored: HostSpan;
      readonly unitLength: number;
      readonly skip: number;
      /** Fills all of `unit` or throws. `stored` may be shorter than asked where the file ends. */
      decode(stored: Uint8Array, unit: Uint8Array): MaybePromise<void>;
    };

/** Bytes of a child. */
export interface HostSpan {
  readonly child: BlockChild;
  readonly childOffset: number;
  readonly length: number;
}

/** Guest bytes that need room, or one unit that takes `storedLength` bytes compressed. */
export interface AllocationRequest {
  readonly offset: number;
  readonly length: number;
  readonly storedLength?: number;
}

/** Bytes of [offset, offset + length) that the request does not bring are read by the engine (through `lookup`, under its claim) and written along. */
export interface Allocation<Ticket = unknown> {
  /** Guest bytes, whole subclusters or clusters, within what was asked. */
  readonly offset: number;
  readonly length: number;
  readonly child: BlockChild;
  readonly childOffset: number;
  /** Fresh space at the end of the file: no zeros need be written. */
  readonly readsZero: boolean;
  readonly transform?: Transform | undefined;
  /** The format's own. */
  readonly ticket: Ticket;
}

/** Encryption. `from` is the caller's and stays as it is. */
export interface Transform {
  encode(at: Place, from: Uint8Array, into: Uint8Array): MaybePromise<void>;
  decode(at: Place, bytes: Uint8Array): MaybePromise<void>;
}
/** The two addresses of one piece of data: an encryption may use either. */
export interface Place {
  readonly guestOffset: number;
  readonly childOffset: number;
}

/** What a node uses a child for. */
export type ChildRole = "data" | "metadata" | "data and metadata" | "backing" | "filtered";

/** What this node does with its storage, and what it lets others do with it meanwhile (QEMU's permissions). */
export interface Access {
  readonly write: boolean;
  readonly resize: boolean;
  readonly shareWrite: boolean;
  readonly shareResize: boolean;
  /** Take no lock and trust the caller (`-U`). Read-only opens alone. */
  readonly force: boolean;
}

/** What an image is given when it is opened: everything that it may not take for itself. */
export interface OpenContext extends WaitOptions {
  readonly nodeName: string;
  /** The file that messages name. */
  readonly fileName: string;
  readonly readOnly: boolean;
  /**
   * The image is opened to be checked: as it is found, with no repair, and without refusing for damage that the check tells of. Until it is
   * closed it is asked for reads and checks alone.
   */
  readonly forCheck: boolean;
  /** The format was guessed from the first bytes. */
  readonly probed: boolean;
  /** Freed space shall be given back to the host. */
  readonly discard: "ignore" | "unmap";
  readonly access: Access;
  readonly clock: Clock;
  readonly offload: Offload;
  readonly entropy: Entropy;
  /** A passphrase or key that the caller gave the graph, by its ID; throws NOT_FOUND. Never to be shown, in messages or elsewhere. */
  secret(id: string): Uint8Array;
  /** Opens a child that the caller's options describe. A file name is opened with its protocol, for a backing role it is probed. */
  child(name: string, role: ChildRole, options: NodeOptions): Promise<BlockChild>;
  /** Opens a file that the image itself names: a plain path or URL, relative to the image; the caller's `implicitOpen` is asked. */
  namedChild(name: string, role: ChildRole, named: NamedFile): Promise<BlockChild>;
  /**
   * A format never frees space, it retires it: `release` is called when the change is on disk and no I/O can meet the span any more.
   * `discard`: the host gets the space back before that. Default: as the node's option `discard` says.
   */
  retire(span: HostSpan, options?: { readonly discard?: boolean }): void;
  /**
   * The guest gave up what is in the span, and its cluster keeps the span: the host gets the bytes back as soon as a retired span would be
   * free, and `release` does not hear of it. An allocation that has the span again before, or while the host does it, is safe.
   */
  empty(span: HostSpan): void;
  /** To be called before a table that shows new data is written: flushes `storage` if anything was linked since the last flush. */
  dataBarrier(): Promise<void>;
  /** No request runs beside `section`; new ones queue at the node's gate ("allocations": only allocating ones). Not from inside a request. */
  exclusive<T>(section: () => Promise<T>, options?: { readonly block: "all" | "allocations" }): Promise<T>;
  /** Corruption was found: all later I/O on this image fails with `error`. */
  fail(error: BlockError): void;
}
/** A file that an image names. */
export interface NamedFile {
  readonly filename: string;
  /** Absent: probed. */
  readonly format?: string | undefined;
}

/** What an image tells of itself, from its own file alone. */
export interface ImageInfo {
  readonly clusterSize?: number;
  /** Bytes; where in the disk's addresses the state of a machine is kept. */
  readonly vmStateOffset?: number;
  readonly encrypted?: boolean;
  readonly compressed?: boolean;
  /** The image was not closed cleanly, or says that it is damaged. */
  readonly dirty?: boolean;
  readonly corrupt?: boolean;
  /** As the image names it; whether it opens is another matter. */
  readonly backing?: NamedFile;
  readonly snapshots?: readonly SnapshotInfo[];
  /** qemu-img's "Format specific information": type and data, in its spelling and order. */
  readonly formatSpecific?: { readonly type: string; readonly data: Readonly<Record<string, unknown>> };
}
