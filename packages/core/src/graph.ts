/** The graph: opens, creates and lists nodes with the drivers, clock and rules that it was given. */

import type { Clock } from "./coroutine/clock.ts";
import type { WaitOptions } from "./coroutine/held.ts";
import { InlineOffload } from "./coroutine/inline-offload.ts";
import type { Offload } from "./coroutine/offload.ts";
import { SystemClock } from "./coroutine/system-clock.ts";
import type { BlockDriver, DriverEntry } from "./driver.ts";
import { Failures } from "./failures.ts";
import { createImage, type CreateOptions } from "./graph/create-image.ts";
import { DriverTable } from "./graph/driver-table.ts";
import type { GraphParts, ImplicitOpenRule } from "./graph/graph-parts.ts";
import { NodeFactory, type Place } from "./graph/node-factory.ts";
import { NodeTable } from "./graph/node-table.ts";
import { type Entropy, systemEntropy } from "./host/entropy.ts";
import type { BlockNode } from "./node.ts";
import type { NodeOptions } from "./options.ts";
import { type NodeChange, reopenNodes } from "./reopen.ts";
import { type Secrets, SecretTable } from "./secrets.ts";
import { TurnBudget } from "./request/turn-budget.ts";

/** What a graph works with. */
export interface BlockGraphOptions {
  /** All that this graph can open; there is no global registry. */
  readonly drivers: readonly DriverEntry[];
  readonly clock?: Clock;
  readonly offload?: Offload;
  readonly entropy?: Entropy;
  /** Passphrases and keys; options name them by their IDs (`encrypt: { keySecret: "sec0" }`). */
  readonly secrets?: Secrets;
  /** Whether images may open the backing and data files that they name. Default "deny". */
  readonly implicitOpen?: ImplicitOpenRule;
}

export interface OpenOptions extends WaitOptions {
  /** Default false. */
  readonly readOnly?: boolean;
  /**
   * To be checked: damage that the check tells of does not stop the opening, and opening repairs nothing. Writes are refused; `check` with
   * `repair` works unless the image is read-only as well. Default false.
   */
  readonly forCheck?: boolean;
  /** For a plain name: the format, which is probed without it. */
  readonly driver?: string;
  /** For a plain name: `null` leaves the backing file that the image names unopened. */
  readonly backing?: NodeOptions | null;
  /** The backing file that many layers below is opened writable too, for `commitDisk`: 1 is the image's own. Default 0: none. */
  readonly writableBacking?: number;
  readonly nodeName?: string;
  readonly forceShare?: boolean;
  readonly discard?: "ignore" | "unmap";
  /** See `CommonOptions.cache`. */
  readonly cache?: { readonly noFlush?: boolean };
}

/** Disposing closes every node that is still open, parents first. */
export class BlockGraph implements AsyncDisposable {
  readonly #parts: GraphParts;
  readonly #factory: NodeFactory;

  constructor(options: BlockGraphOptions) {
    const clock = options.clock ?? new SystemClock();
    this.#parts = {
      drivers: new DriverTable(options.drivers),
      nodes: new NodeTable(),
      clock,
      offload: options.offload ?? new InlineOffload(),
      entropy: options.entropy ?? systemEntropy,
      secrets: new SecretTable(options.secrets ?? {}),
      turns: new TurnBudget(clock),
      implicitOpen: options.implicitOpen ?? "deny",
    };
    this.#factory = new NodeFactory(this.#parts);
  }

  /**
   * Opens an image with its children. Throws NOT_FOUND, LOCKED, CORRUPT_IMAGE, UNSUPPORTED_FEATURE, INVALID_OPTION, NOT_ALLOWED or IO;
   * then nothing is left open.
   */
  async open(options: NodeOptions, opening: OpenOptions = {}): Promise<BlockNode> {
    const readOnly = opening.readOnly ?? false;
    const place: Place = {
      level: "format",
      readOnly,
      forCheck: opening.forCheck ?? false,
      discard: opening.discard ?? "unmap",
      noFlush: opening.cache?.noFlush ?? false,
      access: { write: !readOnly, resize: !readOnly, shareWrite: true, shareResize: true, force: opening.forceShare ?? false },
      ancestry: [],
      writableBacking: opening.writableBacking ?? 0,
      signal: opening.signal,
    };
    return typeof options === "string" ? this.#factory.openName(options, place, opening) : this.#factory.open(options, place);
  }

  /** Makes a new image. Throws INVALID_OPTION for options that the driver does not have. */
  async create(options: CreateOptions, creating: WaitOptions = {}): Promise<void> {
    await createImage(this.#parts, this.#factory, options, creating);
  }

  /** `BlockNode.reopen` of several nodes: all are changed, or none is. */
  reopen(changes: readonly NodeChange[]): Promise<void> {
    return reopenNodes(changes);
  }

  node(name: string): BlockNode | undefined {
    return this.#parts.nodes.get(name);
  }

  /** Loads a driver, for its `createOptions` and `measure`. Throws INVALID_OPTION for an unknown name. */
  driver(name: string): Promise<BlockDriver> {
    return this.#parts.drivers.load(name);
  }

  /** Nodes, their requests in flight, and who holds and who waits for which lock, with how long. */
  inspect(): { readonly nodes: readonly object[] } {
    return { nodes: this.#parts.nodes.list().map((node) => node.inspect()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures = new Failures();
    for (;;) {
      const top = this.#parts.nodes.list().find((node) => node.parents.size === 0);
      if (top === undefined) break;
      await failures.attempt(() => top[Symbol.asyncDispose]());
    }
    failures.throwFirst();
  }
}
