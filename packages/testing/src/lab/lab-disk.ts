/** A disk under test, and the model that says what it may hold. */

import type { BlockNode, NodeOptions } from "@coblock/core";
import type { ModelDisk } from "./model-disk.ts";

/** Bytes [offset, offset + length) of a disk. */
export interface DiskRange {
  readonly offset: number;
  readonly length: number;
}

/** What a scenario works on. Actors make the requests, so that each is judged against the model. */
export class LabDisk {
  /** For messages. */
  readonly name: string;
  /** As it is opened again. */
  readonly options: NodeOptions;
  /** As it is opened read-only, to be judged. */
  readonly judgedAs: NodeOptions;
  readonly model: ModelDisk;
  readonly #touched: DiskRange[];
  #node: BlockNode;

  /** `data`: where there is something else than zeros to begin with. */
  constructor(parts: {
    readonly name: string;
    readonly options: NodeOptions;
    readonly judgedAs: NodeOptions;
    readonly node: BlockNode;
    readonly model: ModelDisk;
    readonly data: readonly DiskRange[];
  }) {
    this.name = parts.name;
    this.options = parts.options;
    this.judgedAs = parts.judgedAs;
    this.model = parts.model;
    this.#node = parts.node;
    this.#touched = [...parts.data];
  }

  get node(): BlockNode {
    return this.#node;
  }

  /** Ranges that may hold something else than zeros, or did. */
  get touched(): readonly DiskRange[] {
    return this.#touched;
  }

  /** Internal: a request changes the range. */
  touch(range: DiskRange): void {
    this.#touched.push(range);
  }

  /** Internal: the same disk, opened anew. */
  become(node: BlockNode): void {
    this.#node = node;
  }
}
