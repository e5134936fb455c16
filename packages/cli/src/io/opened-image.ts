/** The image that qemu-io works on: opened as its flags say, and opened anew when they change. */

import { BlockError, type BlockGraph, type BlockNode } from "@coblock/core";
import { CommandFailure } from "../failure.ts";
import { openFlagged, type ImageFlags, type ImageRequest } from "../flagged-image.ts";
import { openWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { IoFailure } from "./failure.ts";

/** Guest disks are counted in whole sectors. */
const SECTOR_LENGTH = 512;

interface OpenParts {
  readonly session: Session;
  readonly graph: BlockGraph;
  readonly request: ImageRequest;
  readonly shown: BlockNode;
  readonly node: BlockNode;
}

export class OpenedImage implements AsyncDisposable {
  /** What `info` tells of. */
  readonly shown: BlockNode;
  /** What requests go to. */
  readonly node: BlockNode;
  readonly request: ImageRequest;
  readonly #graph: BlockGraph;
  readonly #session: Session;

  private constructor(parts: OpenParts) {
    this.shown = parts.shown;
    this.node = parts.node;
    this.request = parts.request;
    this.#graph = parts.graph;
    this.#session = parts.session;
  }

  /** Throws IoFailure with what qemu-io says of an image that does not open. */
  static async open(session: Session, request: ImageRequest): Promise<OpenedImage> {
    const graph = session.createGraph();
    try {
      const shown = await openFlagged(graph, session, request);
      const node = request.flags.copyOnRead ? await addCopyOnRead(graph, shown) : shown;
      return new OpenedImage({ session, graph, request, shown, node });
    } catch (error) {
      await graph[Symbol.asyncDispose]();
      if (!(error instanceof BlockError || error instanceof CommandFailure)) throw error;
      const device = request.filename === undefined ? "" : ` device ${request.filename}`;
      const words = error instanceof BlockError ? openWords(error, !request.flags.readOnly) : error.message;
      throw new IoFailure(`can't open${device}: ${words}`, "named stderr");
    }
  }

  get readOnly(): boolean {
    return this.node.readOnly;
  }

  /** Bytes, whole sectors. */
  get size(): number {
    return Math.ceil(this.node.size / SECTOR_LENGTH) * SECTOR_LENGTH;
  }

  /** Options of the driver that can be changed while the image is open. */
  async changeableOptions(): Promise<readonly string[]> {
    return (await this.#graph.driver(this.shown.driver)).reopenOptionNames ?? [];
  }

  /** `forced`: on stable storage when it ends. */
  writing(forced: boolean): { readonly forceUnitAccess: boolean } {
    return { forceUnitAccess: forced || this.request.flags.writeThrough };
  }

  /** What lies past the end of the file, up to a whole sector, reads as zeros. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const inside = Math.min(into.length, Math.max(0, this.node.size - offset));
    if (inside === into.length || offset + into.length > this.size) return this.node.read(offset, into);
    await this.node.read(offset, into.subarray(0, inside));
    into.fill(0, inside);
  }

  /** A file that ends within a sector grows to its end before that is written. */
  async prepareWrite(end: number): Promise<void> {
    if (end > this.node.size && end <= this.size) await this.node.resize(end);
  }

  /** The image closes, and opens with other flags. Throws IoFailure; then none is open. */
  async reopen(flags: ImageFlags): Promise<OpenedImage> {
    await this[Symbol.asyncDispose]();
    return OpenedImage.open(this.#session, { ...this.request, flags });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#graph[Symbol.asyncDispose]();
  }
}

async function addCopyOnRead(graph: BlockGraph, below: BlockNode): Promise<BlockNode> {
  await using node = below;
  return await graph.open({ driver: "copy-on-read", file: node }, { readOnly: node.readOnly });
}
