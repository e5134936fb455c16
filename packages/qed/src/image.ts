/** An open QED image, as the mapping engine drives it. */

import {
  type Allocation,
  type AllocationRequest,
  type BlockChild,
  BlockError,
  type CheckOptions,
  type CheckResult,
  type Finding,
  type Guarded,
  type ImageInfo,
  type Intent,
  type MappedImage,
  type Mapping,
  type NamedFile,
  type OpenContext,
  type ResizeOptions,
  type Wait,
} from "@coblock/core";
import { MetadataCheck } from "./check.ts";
import { ZERO_CLUSTER } from "./geometry.ts";
import { sizeProblem } from "./header.ts";
import { NeedCheck } from "./need-check.ts";
import type { QedFile } from "./qed-file.ts";
import type { QedTables } from "./tables.ts";

/**
 * Crash order of an allocating write. Without a backing file: NEED_CHECK, flush, L2 entry. With one the flush between data and L2 entry
 * gives the order. In both cases a new L2 table is flushed before the L1 entry that leads to it. QED has nothing to unmap or to release.
 */
export class QedImage implements MappedImage<QedTables, undefined> {
  readonly clusterSize: number;
  /** As the format asks: one allocating request at a time. */
  readonly maxAllocations = 1;
  readonly limits = { requestAlignment: 1 } as const;
  readonly state: Guarded<QedTables>;
  backing: BlockChild | undefined;
  readonly storage: readonly BlockChild[];
  readonly #file: QedFile;
  readonly #context: OpenContext;
  readonly #needCheck: NeedCheck;

  constructor(file: QedFile, backing: BlockChild | undefined, state: Guarded<QedTables>, context: OpenContext) {
    this.state = state;
    this.backing = backing;
    this.storage = [file.child];
    this.clusterSize = file.geometry.clusterSize;
    this.#file = file;
    this.#context = context;
    this.#needCheck = new NeedCheck(file, state.mutex, context);
  }

  get size(): number {
    return this.#file.header.imageSize;
  }

  lookup(tables: QedTables, offset: number, length: number, intent: Intent): Mapping | Wait {
    return tables.lookup(offset, length, intent);
  }

  async allocate(tables: QedTables, { offset, length: asked }: AllocationRequest): Promise<Allocation<undefined>> {
    const length = Math.min(asked, tables.bytesLeftInSlice(offset));
    const childOffset = await tables.append(length / this.clusterSize);
    return { offset, length, child: this.#file.child, childOffset, readsZero: true, ticket: undefined };
  }

  async link(tables: QedTables, { offset, length, childOffset }: Allocation<undefined>): Promise<void> {
    await this.#needCheck.during(this.backing === undefined, async () => {
      await tables.extendTo(childOffset + length);
      if (this.backing !== undefined) await this.#context.dataBarrier();
      await tables.publish({ offset, length, first: childOffset });
    });
  }

  /** Over allocated clusters core writes zeros: their space stays theirs. */
  async zero(tables: QedTables, offset: number, length: number): Promise<number | Wait> {
    const run = tables.lookup(offset, length, "write");
    if (run.kind === "wait") return run;
    if (run.kind === "data") return 0;
    if (run.kind === "zero") return run.length;
    const changed = Math.min(run.length, tables.bytesLeftInSlice(offset));
    const change = (): Promise<void> => tables.publish({ offset, length: changed, first: ZERO_CLUSTER });
    await this.#needCheck.during(this.backing === undefined, change);
    return changed;
  }

  /** Grows: a change of the header alone. */
  async resize(size: number, { preallocation }: ResizeOptions): Promise<void> {
    const problem = this.#resizeProblem(size, preallocation);
    const { fileName } = this.#file.child;
    if (problem !== undefined) throw new BlockError("UNSUPPORTED_FEATURE", `${fileName} cannot be resized to ${size} bytes: ${problem}`);
    using guard = await this.state.lock();
    await guard.value.reload(size);
    await this.#file.updateHeader({ imageSize: size });
  }

  /** Without a backing file NEED_CHECK takes over the order of writes. */
  async changeBacking(named: NamedFile | undefined, child: BlockChild | undefined): Promise<void> {
    using _held = await this.state.lock();
    await this.#file.changeBacking(named);
    this.backing = child;
  }

  async check(options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
    using guard = await this.state.lock(options);
    const result = await new MetadataCheck(this.#file, options, report).run();
    if (result.corruptionsFixed > 0) await guard.value.reload(this.size);
    return result;
  }

  info(): ImageInfo {
    const { backing, needsCheck: dirty } = this.#file;
    return { clusterSize: this.clusterSize, dirty, ...(backing === undefined ? {} : { backing }) };
  }

  inspect(): object {
    return this.state.runSync((tables) => ({ l2Cache: tables.statistics }))?.value ?? {};
  }

  quiesce(): Promise<AsyncDisposable> {
    return this.#needCheck.quiesce();
  }

  /** No coroutine runs afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#needCheck.quiesce();
  }

  #resizeProblem(size: number, preallocation: string): string | undefined {
    const shown = this.backing?.size ?? 0;
    if (preallocation !== "off") return `QED has no preallocation '${preallocation}'`;
    if (size < this.size) return `QED images do not shrink, and it has ${this.size}`;
    // Instead of zeros.
    if (size > this.size && shown > this.size) return `the backing file, of ${shown} bytes, would show through past the old end`;
    return sizeProblem(this.clusterSize, this.#file.geometry.tableClusters, size);
  }
}
