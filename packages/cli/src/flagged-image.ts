/** Opens images as the flags of qemu-io and qemu-nbd say: overlays that are thrown away, and a warning where the format was guessed. */

import type { BlockGraph, BlockNode, DescribedNode, OpenOptions, SnapshotSelector } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { describeSnapshot, imageOptionsOf } from "./images.ts";
import type { Session } from "./session.ts";

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
  /** The disk as this snapshot inside the image has it. */
  readonly savedState?: SnapshotSelector | undefined;
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

/** Throws BlockError, or CommandFailure for flags that exclude each other. */
export async function openFlagged(graph: BlockGraph, session: Session, request: ImageRequest): Promise<BlockNode> {
  const { snapshot, readOnly, copyOnRead, forceShare, discard, noFlush } = request.flags;
  const opening: OpenOptions = { signal: session.signal, readOnly: readOnly || snapshot, forceShare, discard, cache: { noFlush } };
  if (forceShare && !readOnly) throw new CommandFailure("force-share=on can only be used with read-only images");
  if (copyOnRead && readOnly) throw new CommandFailure("Can't use copy-on-read on read-only device");
  const words = describe(request);
  const { savedState, format } = request;
  const described = savedState === undefined ? words : await describeSnapshot(graph, words, format, savedState);
  const named = typeof described === "string" && format !== undefined ? { driver: format } : {};
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
