/** What core keeps for one open image and its format may ask for: retired space, allocation slots, the order of data and links. */

import type { BlockChild } from "../child.ts";
import { touch } from "../coroutine/witness.ts";
import type { BlockError } from "../errors.ts";
import { AllocationSlots } from "./allocation-slots.ts";
import { PieceTasks } from "./piece-tasks.ts";
import { RetiredSpace } from "./retired-space.ts";

/** Made before the image is opened, since the image's `OpenContext` hands it out. */
export class ImageServices {
  readonly retired: RetiredSpace = new RetiredSpace();
  readonly slots: AllocationSlots = new AllocationSlots();
  /** Whether freed space is given back to the host. */
  readonly discard: "ignore" | "unmap";
  #storage: readonly BlockChild[] = [];
  #links = 0;
  #flushedLinks = 0;
  #failure: BlockError | undefined;

  constructor(discard: "ignore" | "unmap") {
    this.discard = discard;
  }

  /** Children that hold data and metadata, once the image is open. */
  attach(storage: readonly BlockChild[]): void {
    this.#storage = storage;
  }

  /** The image is known to be damaged: nothing may be written any more. */
  get failure(): BlockError | undefined {
    touch(this, "add");
    return this.#failure;
  }

  fail(error: BlockError): void {
    touch(this, "write");
    this.#failure ??= error;
  }

  /** Counts data that a link is about to show. */
  get links(): number {
    touch(this, "read");
    return this.#links;
  }

  linking(): void {
    touch(this, "add");
    this.#links++;
  }

  flushedLinks(links: number): void {
    touch(this, "write");
    this.#flushedLinks = Math.max(this.#flushedLinks, links);
  }

  /** Data before the table that shows it: flushes the storage if anything was linked since the last flush. */
  async dataBarrier(): Promise<void> {
    const { links } = this;
    if (links === this.#flushedLinks) return;
    await this.flushStorage();
    this.flushedLinks(links);
  }

  async flushStorage(): Promise<void> {
    const pieces = new PieceTasks();
    for (const child of this.#storage) pieces.start(() => child.flush());
    await pieces.settled();
  }
}
