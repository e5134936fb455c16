/** Surveys an image with its chain: one walk over the runs of each layer, into buckets whose number does not depend on the disk. */

import { chainOf, type BlockNode, type BlockStatus } from "@coblock/core";
import { HostFile } from "./host-file.ts";
import { BEYOND, COMPRESSED, DATA, LAST_PAINTED_LAYER, layerKind, UNALLOCATED, ZERO, type PaintedKind } from "./painted-kind.ts";
import { Strip } from "./strip.ts";

export interface Picture {
  readonly fileName: string;
  readonly format: string;
  /** The part of the disk that is shown, bytes. */
  readonly start: number;
  readonly end: number;
  /** What a guest reads, and from which layer. */
  readonly disk: Strip;
  /** From the top down. */
  readonly layers: readonly Layer[];
}

/** One image of the chain. */
interface Layer {
  readonly fileName: string;
  readonly format: string;
  /** What it holds itself, on the scale of the disk. */
  readonly strip: Strip;
  /** Bytes of its own disk. */
  readonly size: number;
  /** Where its bytes are: most often one. */
  readonly files: readonly HostFile[];
  /** Other uses of its files than data and metadata. */
  readonly others: readonly string[];
}

export interface SurveyOptions {
  /** The part of the disk to look at, bytes. */
  readonly start: number;
  readonly end: number;
  /** Buckets of the disk, of each layer, and of each file. */
  readonly diskCount: number;
  readonly layerCount: number;
  readonly fileCount: number;
  readonly signal: AbortSignal;
  /** Bytes of disks that were looked at, and that will have been. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Memory grows with the counts and with the layers, not with the disk or the number of its runs. */
export async function surveyImage(image: BlockNode, options: SurveyOptions): Promise<Picture> {
  const { start, end, diskCount } = options;
  const chain = chainOf(image);
  const kinds = chain.map((_, depth) => kindsOfLayer(depth, chain));
  const palette = [DATA, COMPRESSED, ...new Set(kinds.slice(1).map(({ data }) => data)), ZERO, UNALLOCATED];
  const disk = new Strip(end - start, diskCount, palette);
  const walks = new Walks(chain.length > 1 ? chain.length + 1 : 1, options);
  const paint = ({ offset, length, depth, kind }: BlockStatus): void =>
    disk.add(offset - start, length, colourOf(kind, kinds[depth] ?? { data: DATA, compressed: COMPRESSED }));

  if (chain.length > 1) for await (const run of walks.over(image, true)) paint(run);
  const layers: Layer[] = [];
  for (const [depth, node] of chain.entries())
    layers.push(
      await surveyLayer(node, walks, { ...options, depth, data: kinds[depth]?.data ?? DATA, ...(chain.length > 1 ? {} : { paint }) }),
    );
  return { fileName: image.fileName, format: image.driver, start, end, disk, layers };
}

interface LayerKinds {
  readonly data: PaintedKind;
  readonly compressed: PaintedKind;
}

/** In the picture of the disk all that a lower layer holds has that layer's colour. */
function kindsOfLayer(depth: number, chain: readonly BlockNode[]): LayerKinds {
  if (depth === 0) return { data: DATA, compressed: COMPRESSED };
  const shown = Math.min(depth, LAST_PAINTED_LAYER);
  const isShared = shown === LAST_PAINTED_LAYER && chain.length - 1 > LAST_PAINTED_LAYER;
  const kind = layerKind(shown, isShared ? `layers ${shown} and below` : `layer ${shown}`);
  return { data: kind, compressed: kind };
}

function colourOf(kind: BlockStatus["kind"], { data, compressed }: LayerKinds): PaintedKind {
  if (kind === "data") return data;
  if (kind === "compressed") return compressed;
  return kind === "zero" ? ZERO : UNALLOCATED;
}

interface LayerSurvey extends SurveyOptions {
  readonly depth: number;
  readonly data: PaintedKind;
  readonly paint?: (run: BlockStatus) => void;
}

async function surveyLayer(node: BlockNode, walks: Walks, survey: LayerSurvey): Promise<Layer> {
  const { start, end, layerCount, fileCount, data, paint } = survey;
  const strip = new Strip(end - start, layerCount, [data, COMPRESSED, ZERO, UNALLOCATED, BEYOND]);
  const files = new Map(storageOf(node).map((storage) => [storage.name, new HostFile(storage, fileCount)]));
  let isEncoded = false;
  for await (const run of walks.over(node, false)) {
    const { offset, length, kind, location } = run;
    strip.add(offset - start, length, colourOf(kind, { data, compressed: COMPRESSED }));
    paint?.(run);
    if (location === undefined) isEncoded ||= kind === "data" || kind === "compressed";
    else await files.get(location.node)?.use({ guestOffset: offset - start, offset: location.offset, length, isZero: kind === "zero" });
  }
  strip.add(Math.max(node.size, start) - start, end - Math.max(node.size, start), BEYOND);
  for (const file of files.values()) await file.finish();
  const info = await node.info();
  const isPart = start > 0 || end < node.size;
  const others = [
    ...(isPart ? ["the rest of the disk"] : []),
    ...(isEncoded ? ["compressed and encrypted data"] : []),
    ...((info.snapshots ?? []).length > 0 ? ["snapshots"] : []),
  ];
  return { fileName: node.fileName, format: node.driver, strip, size: node.size, files: [...files.values()], others };
}

/** The nodes that hold an image's bytes. */
function storageOf(node: BlockNode): readonly BlockNode[] {
  const below = [...node.children.values()].filter(({ role }) => role !== "backing").map((child) => child.node);
  return below.length === 0 ? [node] : below;
}

/** The runs of all layers one after the other, and how far that is. */
class Walks {
  readonly #count: number;
  readonly #options: SurveyOptions;
  #begun = 0;

  constructor(count: number, options: SurveyOptions) {
    this.#count = count;
    this.#options = options;
  }

  async *over(node: BlockNode, throughBacking: boolean): AsyncGenerator<BlockStatus> {
    const { start, end, signal, onProgress } = this.#options;
    const before = this.#begun++ * (end - start);
    const last = Math.min(end, node.size);
    if (last <= start) return;
    for await (const run of node.extents({ offset: start, length: last - start, throughBacking })) {
      signal.throwIfAborted();
      onProgress(before + run.offset - start, this.#count * (end - start));
      yield run;
    }
  }
}
