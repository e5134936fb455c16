/** The image that qemu-io works on: opened as its flags say, and opened anew when they change. */

import { BlockError, type BlockGraph, type BlockNode, type DescribedNode, type OpenOptions } from "@coblock/core";
import { CommandFailure } from "../failure.ts";
import { imageOptionsOf } from "../images.ts";
import type { Session } from "../session.ts";
import { IoFailure } from "./failure.ts";

/** How an image is opened, whatever it is. */
export interface ImageFlags {
  readonly readOnly: boolean;
  readonly forceShare: boolean;
  readonly discard: "ignore" | "unmap";
  /** Each write is on stable storage when it ends. */
  readonly writeThrough: boolean;
  /** Flushes stop at the host's page cache. */
  readonly noFlush: boolean;
  /** Changes go into an overlay that is thrown away. */
  readonly snapshot: boolean;
  readonly copyOnRead: boolean;
}

export interface ImageRequest {
  readonly filename: string | undefined;
  readonly format?: string | undefined;
  /** As `--image-opts` and `open -o` give them. */
  readonly options?: string | undefined;
  readonly flags: ImageFlags;
}

/** No flag given. */
export const PLAIN_FLAGS: ImageFlags = {
  readOnly: false,
  forceShare: false,
  discard: "unmap",
  writeThrough: false,
  noFlush: false,
  snapshot: false,
  copyOnRead: false,
};

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
      const shown = await openShown(graph, session, request);
      const node = request.flags.copyOnRead ? await addCopyOnRead(graph, shown) : shown;
      return new OpenedImage({ session, graph, request, shown, node });
    } catch (error) {
      await graph[Symbol.asyncDispose]();
      if (!(error instanceof BlockError || error instanceof CommandFailure)) throw error;
      const device = request.filename === undefined ? "" : ` device ${request.filename}`;
      throw new IoFailure(`can't open${device}: ${error.message}`, "named stderr");
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

async function openShown(graph: BlockGraph, session: Session, request: ImageRequest): Promise<BlockNode> {
  const { snapshot, readOnly, copyOnRead, forceShare, discard, noFlush } = request.flags;
  const opening: OpenOptions = { signal: session.signal, readOnly: readOnly || snapshot, forceShare, discard, cache: { noFlush } };
  if (forceShare && !readOnly) throw new CommandFailure("force-share=on can only be used with read-only images");
  if (copyOnRead && readOnly) throw new CommandFailure("Can't use copy-on-read on read-only device");
  const described = describe(request);
  const named = typeof described === "string" && request.format !== undefined ? { driver: request.format } : {};
  const node = await graph.open(described, { ...opening, ...named });
  warnOfGuess(session, request, node);
  if (!snapshot) return node;
  await using base = node;
  return await openOverlay(graph, base, { ...opening, readOnly });
}

function describe({ filename, format, options }: ImageRequest): string | DescribedNode {
  if (options === undefined) return filename ?? "";
  if (filename === undefined) return imageOptionsOf(options);
  const given = imageOptionsOf(
    `${options},file.filename=${filename.replaceAll(",", ",,")}${format === undefined ? "" : `,driver=${format}`}`,
  );
  return given;
}

function warnOfGuess(session: Session, { filename, format, options, flags }: ImageRequest, node: BlockNode): void {
  const guessed = filename !== undefined && format === undefined && options === undefined && !filename.startsWith("json:");
  if (!guessed || node.driver !== "raw" || flags.readOnly) return;
  session.note(`WARNING: Image format was not specified for '${filename}' and probing guessed raw.`);
  session.note("         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.");
  session.note("         Specify the 'raw' format explicitly to remove the restrictions.");
}

/** Over `base`, in memory. */
async function openOverlay(graph: BlockGraph, base: BlockNode, opening: OpenOptions): Promise<BlockNode> {
  await using file = await graph.open({ driver: "memory" });
  await graph.create({ driver: "qcow2", filename: "overlay", size: base.size, file });
  return await graph.open({ driver: "qcow2", file, backing: base }, opening);
}

async function addCopyOnRead(graph: BlockGraph, below: BlockNode): Promise<BlockNode> {
  await using node = below;
  return await graph.open({ driver: "copy-on-read", file: node }, { readOnly: node.readOnly });
}
