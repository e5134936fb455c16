/** A node as its parent sees it: the way of drivers and of the mapping engine to a child. */

import type { BlockEvent } from "./block-event.ts";
import type { ChildRole, ImageLimits, IoOptions, MaybePromise, ResizeOptions, RunStatus, ZeroOptions } from "./driver.ts";
import type { BlockNode } from "./node.ts";

/**
 * Internal to drivers: methods answer done (`undefined`) or a promise, and may throw synchronously.
 * Writes past the end make a growable child larger.
 */
export class BlockChild {
  readonly name: string;
  readonly role: ChildRole;
  readonly node: BlockNode;
  /** `BlockImage.event` of the node, or of what it filters. */
  readonly #hear: ((name: BlockEvent) => MaybePromise<void>) | undefined;

  constructor(name: string, role: ChildRole, node: BlockNode) {
    this.name = name;
    this.role = role;
    this.node = node;
    this.#hear = listenerOf(node);
  }

  /** Bytes, now. */
  get size(): number {
    return this.node.size;
  }

  get readOnly(): boolean {
    return this.node.readOnly;
  }

  get growable(): boolean {
    return this.node.requests.image.growable === true;
  }

  get limits(): ImageLimits {
    return this.node.requests.image.limits;
  }

  /** The file that messages name. */
  get fileName(): string {
    return this.node.fileName;
  }

  read(offset: number, into: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.node.requests.read(offset, into, options);
  }

  write(offset: number, from: Uint8Array, options?: IoOptions): MaybePromise<void> {
    return this.node.requests.write(offset, from, options, true);
  }

  writeZeroes(offset: number, length: number, options?: ZeroOptions): MaybePromise<void> {
    return this.node.requests.writeZeroes(offset, length, options, true);
  }

  discard(offset: number, length: number, options?: IoOptions): MaybePromise<void> {
    return this.node.requests.discard(offset, length, options);
  }

  flush(options?: IoOptions): MaybePromise<void> {
    return this.node.requests.flush(options);
  }

  /** Whether `event` reaches anybody: asked once by those whose way is hot. */
  get listens(): boolean {
    return this.#hear !== undefined;
  }

  /**
   * Says what the caller is about to do, for drivers that test. A promise is awaited before it is done: what was looked up before is
   * then stale. Not to be called where nothing may be suspended or fail.
   */
  event(name: BlockEvent): MaybePromise<void> {
    return this.#hear?.(name);
  }

  /** This node's own view of the run at `offset`; backing files are not asked. */
  status(offset: number, length: number): MaybePromise<RunStatus> {
    return this.node.status(offset, length);
  }

  /** Whether the node and its backing files say, without reading, that the range reads as zeros. */
  readsAsZero(offset: number, length: number): Promise<boolean> {
    return this.node.readsAsZero(offset, length);
  }

  resize(size: number, options: ResizeOptions = { preallocation: "off", shrink: true }): Promise<void> {
    return this.node.resize(size, options);
  }
}

/** Who hears what is told to `node`. */
function listenerOf(node: BlockNode): ((name: BlockEvent) => MaybePromise<void>) | undefined {
  const { image } = node.requests;
  if (image.event !== undefined) return (name) => image.event?.(name);
  const filtered = [...node.children.values()].find(({ role }) => role === "filtered");
  return filtered?.listens === true ? (name) => filtered.event(name) : undefined;
}
