/** A node of the graph as its users see it: plain promises, checked arguments, orderly closing. */

import type { DirtyBitmap } from "./bitmap/dirty-bitmap.ts";
import { NodeBitmaps } from "./bitmap/node-bitmaps.ts";
import { allocatedSizeOf, breakpointsOf, identityOf, optimalTransferOf, statusOf, storageOf } from "./below.ts";
import type { Breakpoints } from "./breakpoints.ts";
import { BlockChild } from "./child.ts";
import { CoMutex } from "./coroutine/mutex.ts";
import type { WaitOptions } from "./coroutine/held.ts";
import { touch } from "./coroutine/witness.ts";
import { checkAmendment } from "./amend.ts";
import type { CheckOptions, CheckResult, Finding } from "./checking.ts";
import type { AmendOptions, CreateValue } from "./creation.ts";
import type { DriverKind, ImageInfo, IoOptions, MaybePromise, ResizeOptions, RunStatus, ZeroOptions } from "./driver.ts";
import { BlockError, type BlockErrorCode } from "./errors.ts";
import { extentsOf, type BlockStatus, type ExtentRange, rangeReadsAsZero } from "./extents.ts";
import { Failures } from "./failures.ts";
import { isBelow, lowerBelow, type NewBacking, withAncestors } from "./chain.ts";
import { type DrainedNode, drainedNode } from "./drained-node.ts";
import { readableOf } from "./readable.ts";
import { checkReopenOptions, NOTHING_TO_REOPEN, type PreparedReopen, reopenNodes, type ReopenOptions } from "./reopen.ts";
import type { BlockNodeParts } from "./node-parts.ts";
import { RequestPath } from "./request/path.ts";
import { NodeSnapshots } from "./snapshots.ts";
import { NodeVmState } from "./vm-state.ts";

let nextSerial = 0;

/**
 * An opened image, filter or file. Offsets and lengths are bytes; any may be asked for, core aligns. Methods reject with `BlockError`:
 * OUT_OF_RANGE beyond `size`, READ_ONLY, CLOSED after disposal, CORRUPT_IMAGE, NO_SPACE, IO. A rejected `read` no longer touches its buffer.
 */
export class BlockNode implements AsyncDisposable {
  readonly name: string;
  readonly driver: string;
  readonly kind: DriverKind;
  /** The file that messages name. */
  readonly fileName: string;
  readonly readOnly: boolean;
  readonly children: ReadonlyMap<string, BlockChild>;
  /** @internal Where it stands in the order of locks: above that of its children. */
  serial: number = nextSerial++;
  /** @internal The way in for parents. */
  readonly requests: RequestPath;
  /** The snapshots inside the image, where its format has them. */
  readonly snapshots: NodeSnapshots;
  /** Room beside the disk for the state of a machine, where this node or one below has it. */
  readonly vmState: NodeVmState;
  /** Which parts of the disk have changed, and since when. */
  readonly bitmaps: NodeBitmaps;
  /** @internal Nodes above that hold this one as a child. */
  readonly parents: Set<BlockNode> = new Set();
  readonly #parts: BlockNodeParts;
  readonly #exclusive: CoMutex;
  readonly #closedError = (): BlockError => new BlockError("CLOSED", `${this.name} is closed`, { node: this.name });
  #references = 1;
  #closing: Promise<void> | undefined;

  constructor(parts: BlockNodeParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.driver = parts.driver.name;
    this.kind = parts.driver.kind;
    this.fileName = parts.fileName;
    this.readOnly = parts.readOnly;
    this.children = parts.children;
    this.requests = new RequestPath({ ...parts, noFlush: parts.noFlush && this.kind === "protocol" });
    this.#exclusive = new CoMutex(`${parts.name} exclusive`, parts.clock);
    const { image } = parts;
    const exclusive = <T>(section: () => Promise<T>): Promise<T> => this.exclusive(section);
    const own = { ...parts, driver: this.driver, nodeName: parts.name, exclusive };
    const [size, info] = [() => image.size, () => image.info?.() ?? {}];
    const follow = (bitmaps: readonly DirtyBitmap[] | undefined): unknown => (this.requests.following = bitmaps);
    this.bitmaps = new NodeBitmaps({ ...own, bitmaps: image.bitmaps, loaded: parts.loadedBitmaps, size, info, follow });
    this.vmState = new NodeVmState({ ...own, vmState: image.vmState, below: () => storageOf(this)?.vmState });
    this.snapshots = new NodeSnapshots({ ...own, snapshots: image.snapshots, hasBitmaps: () => this.bitmaps.loaded.length > 0 });
  }

  /** Bytes, now. */
  get size(): number {
    return this.requests.image.size;
  }

  /** Bytes that a reader should ask for at a time, if it has so much to read: the most that anything below it likes. 0: as it pleases. */
  get optimalTransfer(): number {
    return optimalTransferOf(this);
  }

  /** Bytes of the units that `writeCompressed` compresses; `undefined` where the format cannot. */
  get compressionUnit(): number | undefined {
    return this.requests.image.compressionUnit;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#answer(into.length, () => this.requests.read(offset, into, options));
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#answer(from.length, () => this.requests.write(offset, from, options, false));
  }

  /** Afterwards the range reads as zeros; `mayUnmap` lets its space be given back. */
  writeZeroes(offset: number, length: number, options?: ZeroOptions): Promise<void> {
    return this.#answer(0, () => this.requests.writeZeroes(offset, length, options, false));
  }

  /** The content is no longer wanted; what is read afterwards depends on the driver. Only whole units are given back. */
  discard(offset: number, length: number, options?: IoOptions): Promise<void> {
    return this.#answer(0, () => this.requests.discard(offset, length, options));
  }

  /** Writes whole units compressed where the format can and it saves space. */
  writeCompressed(offset: number, from: Uint8Array, options?: IoOptions): Promise<void> {
    return this.#answer(from.length, () => this.requests.writeCompressed(offset, from, options));
  }

  /** What completed before is on stable storage. After one failure all later flushes fail, until the node is opened anew. */
  flush(options?: IoOptions): Promise<void> {
    return this.#answer(0, () => this.requests.flush(options));
  }

  /** Runs of equal state, in order; equal neighbours are joined. A hint unless the node is drained. */
  extents(range: ExtentRange = {}): AsyncIterable<BlockStatus> {
    return extentsOf(this, range, this.#parts.turns);
  }

  /** The bytes as a web stream. */
  readable(range: { readonly offset?: number; readonly length?: number } = {}): ReadableStream<Uint8Array> {
    return readableOf(this, range);
  }

  /** @internal This node's own view of the run at `offset`; `unallocated` means the backing file. */
  status(offset: number, length: number): MaybePromise<RunStatus> {
    this.#assertOpen();
    return statusOf(this, offset, length);
  }

  /** Whether the range reads as zeros by its status, through the backing chain; data that happens to be zero does not count. */
  readsAsZero(offset: number, length: number): Promise<boolean> {
    return rangeReadsAsZero(this, offset, length);
  }

  /** Throws UNSUPPORTED_FEATURE where the driver cannot; shrinking needs `shrink`. */
  async resize(size: number, options: Partial<ResizeOptions> = {}): Promise<void> {
    const { image } = this.requests;
    this.requests.checkWritable();
    if (!Number.isSafeInteger(size) || size < 0) throw this.#refused("INVALID_OPTION", `${size} is no size in bytes`);
    if (image.resize === undefined) throw this.#refused("UNSUPPORTED_FEATURE", `driver '${this.driver}' cannot resize`);
    const { preallocation = "off", shrink = false, signal } = options;
    await this.exclusive(async () => {
      if (size < image.size && !shrink)
        throw this.#refused("INVALID_OPTION", `shrinking from ${image.size} to ${size} bytes loses data and must be asked for`);
      this.bitmaps.checkResize(size);
      await image.resize?.(size, { preallocation, shrink, signal });
      this.bitmaps.resized();
    }, options);
  }

  /**
   * Changes options of the open image, with no request beside: all that are named or, where one is refused or something fails, none. Rejects
   * with INVALID_OPTION, and UNSUPPORTED_FEATURE where the driver can change none. `BlockGraph.reopen` changes several nodes at once.
   */
  async reopen(options: ReopenOptions): Promise<void> {
    await reopenNodes([{ node: this, options }]);
  }

  /** @internal In exclusive mode. */
  async prepareReopen(options: ReopenOptions): Promise<PreparedReopen> {
    checkReopenOptions(this.#parts.driver, options, this.fileName, this.name);
    return (await this.requests.image.reopen?.(options)) ?? NOTHING_TO_REOPEN;
  }

  /**
   * Names another backing file in the image, or none, on stable storage when it returns; the bytes of the disk are the caller's care
   * (`rebaseDisk`). Where the backing file is open, `node` takes its place. Throws UNSUPPORTED_FEATURE, NOT_ALLOWED for a loop,
   * INVALID_OPTION for a name that has no room.
   */
  async changeBacking(backing: NewBacking | undefined): Promise<void> {
    const { image } = this.requests;
    const { children } = this.#parts;
    this.requests.checkWritable();
    if (image.changeBacking === undefined) throw this.#refused("UNSUPPORTED_FEATURE", `driver '${this.driver}' has no backing files`);
    if (backing?.node !== undefined && isBelow(this, backing.node))
      throw this.#refused("NOT_ALLOWED", `'${backing.filename}' is stacked on the image itself, and cannot be its backing file`);
    const child = backing?.node === undefined ? undefined : new BlockChild("backing", "backing", backing.node.retain());
    const isParent = child?.node.parents.has(this) ?? false;
    // From now on, so that two changes at one time make no loop.
    child?.node.parents.add(this);
    let unused = child;
    try {
      await this.exclusive(async () => {
        const old = children.get("backing");
        if (old !== undefined && backing !== undefined && child === undefined)
          throw this.#refused("INVALID_OPTION", "its backing file is open, so what is to show in its place must be open too");
        await image.changeBacking?.(backing && { filename: backing.filename, format: backing.format }, child);
        unused = old;
        children.delete("backing");
        old?.node.parents.delete(this);
        if (child === undefined) return;
        children.set("backing", child);
        lowerBelow(child.node, this);
        child.node.parents.add(this);
      });
    } finally {
      if (unused === child && !isParent) child?.node.parents.delete(this);
      await unused?.node[Symbol.asyncDispose]();
    }
  }

  /**
   * Changes options that were chosen when the image was made, in qemu-img's spelling (`compat`, `refcount_bits`), with no request beside.
   * Throws UNSUPPORTED_FEATURE where the driver can change none, and INVALID_OPTION before anything is changed.
   */
  async amend(values: Readonly<Record<string, CreateValue>>, options: AmendOptions = {}): Promise<void> {
    const { image } = this.requests;
    this.requests.checkWritable();
    checkAmendment(this.#parts.driver, values, this);
    await this.exclusive(async () => {
      if (typeof values["size"] === "number") this.bitmaps.checkResize(values["size"]);
      await image.amend?.(values, options);
      this.bitmaps.resized();
    });
  }

  /** Checks the metadata with no request beside; `report` gets each finding as it is found. `undefined`: the driver has no check. */
  async check(options: CheckOptions, report: (finding: Finding) => void = () => {}): Promise<CheckResult | undefined> {
    const { image } = this.requests;
    if (image.check === undefined) return undefined;
    if (options.repair !== "none" && options.dryRun !== true && this.readOnly)
      throw this.#refused("READ_ONLY", "it was opened read-only and cannot be repaired");
    return this.exclusive(async () => image.check?.(options, report));
  }

  /** What the format tells of itself; never opens another file. */
  async info(): Promise<ImageInfo> {
    return (await this.requests.image.info?.()) ?? {};
  }

  /** Bytes that the image and its own files take on the host, backing files left out. */
  async allocatedSize(): Promise<number | undefined> {
    this.#assertOpen();
    return allocatedSizeOf(this);
  }

  /** Device and inode below, where there is a file. */
  get identity(): string | undefined {
    return identityOf(this);
  }

  /** Of this node, or of the first one below that has some: where requests can be held back. */
  get breakpoints(): Breakpoints | undefined {
    return breakpointsOf(this);
  }

  /** Waits until no request is in flight here and above, stops background work, and keeps everyone else out. Nodes above that close meanwhile are done. */
  async drain(options?: WaitOptions): Promise<DrainedNode> {
    this.#assertOpen();
    const drained: AsyncDisposable[] = [];
    const resume = async (): Promise<void> => {
      for (const node of drained.splice(0).reverse()) await node[Symbol.asyncDispose]();
    };
    try {
      for (const node of withAncestors(this)) {
        const quiet = await node.#drainSelf(options);
        if (quiet !== undefined) drained.push(quiet);
      }
      this.#assertOpen();
    } catch (error) {
      await resume();
      throw error;
    }
    return drainedNode(this, resume);
  }

  /** @internal Runs `section` with no request beside; new ones wait at the gate, and closing for its end. Never call it from inside a request. */
  async exclusive<T>(section: () => Promise<T>, options?: WaitOptions): Promise<T> {
    const { gate } = this.requests;
    using _held = await this.#exclusive.lock(options);
    this.#assertOpen();
    using _gate = gate.close();
    await gate.idle(options);
    this.#assertOpen();
    gate.begin();
    try {
      return await section();
    } finally {
      gate.leave();
      this.requests.changed();
    }
  }

  /** @internal One more holder; `release` or disposal gives it back. */
  retain(): this {
    touch(this, "write");
    this.#assertOpen();
    this.#references++;
    return this;
  }

  /**
   * Gives the caller's hold back, and never one of the nodes above; the last one waits for requests, flushes and closes. Idempotent once
   * closed; rejects with the first error.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    touch(this, "write");
    if (this.#closing !== undefined) return this.#closing;
    if (this.#references <= this.parents.size || --this.#references > 0) return;
    this.#closing = this.#close();
    return this.#closing;
  }

  /** Requests, locks and children, for `graph.inspect()`. */
  inspect(): object {
    const { image, gate, tracker, statistics } = this.requests;
    return {
      name: this.name,
      driver: this.driver,
      fileName: this.fileName,
      size: this.size,
      readOnly: this.readOnly,
      children: Object.fromEntries([...this.children.values()].map((child) => [child.name, { node: child.node.name, role: child.role }])),
      requests: tracker.list().map((request) => ({ ...request, forMs: this.#parts.clock.now() - request.startedMs })),
      locks: [gate.inspect(), this.#exclusive.inspect(), ...this.#parts.locks()],
      statistics: statistics.snapshot(),
      image: image.inspect?.() ?? {},
    };
  }

  #answer(length: number, request: () => MaybePromise<void>): Promise<void> {
    try {
      return request() ?? this.#parts.turns.spend(length);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #assertOpen(): void {
    touch(this, "read");
    if (this.#closing !== undefined) throw this.#closedError();
  }

  #refused(code: BlockErrorCode, reason: string): BlockError {
    return new BlockError(code, `${this.fileName}: ${reason}`, { node: this.name });
  }

  /** `undefined`: it has closed instead, with all that it had to write. */
  async #drainSelf(options: WaitOptions | undefined): Promise<AsyncDisposable | undefined> {
    const held = await this.#exclusive.lock(options);
    const gate = this.requests.gate.close();
    const letGo = (): void => {
      held[Symbol.dispose]();
      gate[Symbol.dispose]();
    };
    try {
      await this.requests.gate.idle(options);
      if (this.#closing === undefined) {
        const quiet = await this.requests.image.quiesce?.();
        return {
          [Symbol.asyncDispose]: async () => {
            letGo();
            await quiet?.[Symbol.asyncDispose]();
          },
        };
      }
    } catch (error) {
      letGo();
      throw error;
    }
    letGo();
    await Promise.allSettled([this.#closing]);
    return undefined;
  }

  /** Gate, drain, quiesce, flush, image, children last; every step is taken, the first error is kept. */
  async #close(): Promise<void> {
    const { gate, image } = this.requests;
    const failures = new Failures();
    this.requests.fail(this.#closedError());
    const kept = gate.close();
    await gate.idle();
    await failures.attempt(() => image.quiesce?.());
    await failures.attempt(() => this.requests.flushInside());
    await failures.attempt(() => image[Symbol.asyncDispose]());
    for (const child of [...this.children.values()].reverse()) {
      child.node.parents.delete(this);
      await failures.attempt(() => child.node[Symbol.asyncDispose]());
    }
    this.#parts.onClosed(this);
    kept[Symbol.dispose]();
    failures.throwFirst();
  }
}
