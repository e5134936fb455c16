/** Persistent bitmaps that actors make, change and remove: what each must say, at the end and wherever the power goes. */

import type { BlockGraph, BlockNode, DirtyBitmap, DirtyExtent, NodeOptions } from "@coblock/core";
import { type Actor, type Lab, RunFailure } from "@coblock/testing";

/** What the image must say of its bitmaps when it was closed and nothing has begun since. */
type Stored = readonly { readonly name: string; readonly enabled: boolean; readonly extents: readonly DirtyExtent[] }[];

/**
 * A bitmap that follows changes, and that the image on disk does not call outdated, holds every byte that is not what it was when the
 * bitmap was made, cleared or enabled. That is judged from the image alone. What an image that was closed has of all its bitmaps is
 * exactly what they were.
 */
export class BitmapLedger {
  readonly #lab: Lab;
  readonly #options: NodeOptions;
  readonly #began = new Map<string, Uint8Array>();
  #stored: Stored | undefined;

  constructor(lab: Lab, options: NodeOptions) {
    this.#lab = lab;
    this.#options = options;
    lab.alsoJudge(() => {
      const stored = this.#stored;
      const began = new Map(this.#began);
      return (graph) => this.#judge(graph, began, stored);
    });
  }

  /** From opening to closing. Where a fault has struck it may end early. */
  async session(actor: Actor, work: (session: BitmapSession) => Promise<void>): Promise<void> {
    let node: BlockNode | undefined;
    await actor.does("open", async () => void (node = await this.#lab.graph.open(this.#options)));
    if (node === undefined) return;
    const opened = node;
    await work({
      node: opened,
      usable: (name) => opened.bitmaps.loaded.some((bitmap) => bitmap.name === name && !bitmap.inconsistent),
      begin: async (name) => void this.#began.set(name, await contentOf(opened)),
      change: (what, change) => {
        this.#stored = undefined;
        return actor.does(what, async () => void (await change()));
      },
    });
    const bitmaps = opened.bitmaps.loaded.filter(({ persistent }) => persistent).map(describe);
    if (!(await actor.does("close", async () => opened[Symbol.asyncDispose]()))) return;
    this.#stored = bitmaps;
    await this.#judge(this.#lab.graph, this.#began, bitmaps);
  }

  async #judge(graph: BlockGraph, began: ReadonlyMap<string, Uint8Array>, stored: Stored | undefined): Promise<void> {
    const node = await graph.open(this.#options, { readOnly: true });
    const found: string[] = [];
    const leaksAllowed = stored === undefined || this.#lab.storage.hasFailed;
    await node.check({ repair: "none" }, ({ severity, what }) => {
      if (severity === "error" || (severity === "leak" && !leaksAllowed)) found.push(what);
    });
    if (found.length > 0) throw new RunFailure("wrong", `the check finds: ${found.slice(0, 5).join("; ")}`);
    const bitmaps = await node.bitmaps.all();
    const content = await contentOf(node);
    for (const bitmap of bitmaps) if (bitmap.enabled) expectComplete(bitmap, began.get(bitmap.name) ?? content, content);
    if (stored !== undefined && JSON.stringify(bitmaps.map(describe)) !== JSON.stringify(stored))
      throw new RunFailure("wrong", `the image was closed with other bitmaps than ${JSON.stringify(bitmaps.map(describe))}`);
    await node[Symbol.asyncDispose]();
  }
}

/** The image, open. */
export interface BitmapSession {
  readonly node: BlockNode;
  /** Whether it is there, and was not left outdated. */
  usable(name: string): boolean;
  /** From now on the bitmap follows changes of what the disk holds now. */
  begin(name: string): Promise<void>;
  /** Something that changes the disk or its bitmaps; answers whether it succeeded. */
  change(what: string, change: () => Promise<unknown>): Promise<boolean>;
}

function describe(bitmap: DirtyBitmap): Stored[number] {
  return { name: bitmap.name, enabled: bitmap.enabled, extents: [...bitmap.extents()] };
}

function expectComplete(bitmap: DirtyBitmap, before: Uint8Array, now: Uint8Array): void {
  for (let at = 0; at < Math.min(before.length, now.length); at += bitmap.granularity) {
    const end = at + bitmap.granularity;
    if (Buffer.compare(before.subarray(at, end), now.subarray(at, end)) !== 0 && !bitmap.isDirty(at))
      throw new RunFailure("wrong", `the bitmap '${bitmap.name}' says that nothing has changed at offset ${at}`);
  }
}

async function contentOf(node: BlockNode): Promise<Uint8Array> {
  const content = new Uint8Array(node.size);
  await node.read(0, content);
  return content;
}
