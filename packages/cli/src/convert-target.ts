/** The image that `convert` writes: made, opened, and kept apart from what it is made of. */

import {
  BlockError,
  CopyWriteError,
  nestOptions,
  resolveBeside,
  type BlockDriver,
  type BlockGraph,
  type BlockNode,
  type DescribedNode,
} from "@coblock/core";
import type { CreationOptions } from "./creation-options.ts";
import { CommandFailure, OpenFailure } from "./failure.ts";
import { imageOptionsOf, openImage } from "./images.ts";
import { systemWords } from "./io/failure.ts";
import { creationWords, openWords, qemuWords } from "./qemu-words.ts";
import type { Session } from "./session.ts";

export interface TargetWords {
  readonly graph: BlockGraph;
  /** `-O`. */
  readonly driver: BlockDriver;
  readonly name: string;
  /** `--target-image-opts`: the name is a list of options, and tells the format itself. */
  readonly imageOptions: boolean;
  readonly explicitFormat: string | undefined;
  /** `-t`; as with qemu-img "unsafe" where it is not given, since a copy can be made again. */
  readonly cacheMode: string | undefined;
}

/** Makes the image. Throws before anything is lost where it is one of the sources' own files. */
export async function makeTarget(
  words: TargetWords,
  creation: CreationOptions & { readonly size: number },
  sources: readonly BlockNode[],
  session: Session,
): Promise<void> {
  const { graph, driver, name } = words;
  const { backingFile, backingFormat, values, hints, size } = creation;
  if (backingFile === undefined && backingFormat !== undefined) {
    const reason = "Backing format cannot be used without backing file";
    throw new CommandFailure(reason, 1, { words: [`${name}: error while converting ${driver.name}: ${reason}`] });
  }
  if (backingFile !== undefined && backingFormat === undefined)
    throw new CommandFailure("Use of backing file requires explicit backing format");
  if (backingFile !== undefined && !driver.optionNames.includes("backing"))
    throw new CommandFailure(`Backing file not supported for file format '${driver.name}'`);
  await refuseOwnSource(words, sources);
  if (backingFile !== undefined) await refuseMissingBacking(words, resolveBeside(name, backingFile), backingFormat, session);
  const backing =
    backingFile === undefined
      ? {}
      : { backing: { filename: backingFile, ...(backingFormat === undefined ? {} : { format: backingFormat }) } };
  try {
    const image = { driver: driver.name, filename: name, size, values, fileValues: hints, ...backing };
    await graph.create({ ...image, onWarning: (message) => session.complain(`warning: ${message}`) }, { signal: session.signal });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new CommandFailure(`${name}: error while converting ${driver.name}: ${error.message}`, 1, {
      cause: error,
      words: [withPrefix(creationWords(driver, error), `${name}: error while converting ${driver.name}: `)],
    });
  }
}

/** What is said before the image is begun has no name before it. */
function withPrefix(words: string, prefix: string): string {
  return words.startsWith("Unknown protocol") ? words : prefix + words;
}

/** Read-write, with its backing file, and with the secrets that it was made with. */
export async function openTarget(words: TargetWords, values: CreationOptions["values"], session: Session): Promise<BlockNode> {
  try {
    return await open(words, values, session);
  } catch (error) {
    throw error instanceof BlockError ? new OpenFailure(words.name, openWords(error), error) : error;
  }
}

async function open(
  { graph, driver, name, imageOptions, explicitFormat, cacheMode = "unsafe" }: TargetWords,
  values: CreationOptions["values"],
  session: Session,
): Promise<BlockNode> {
  const opening = { signal: session.signal, cache: { noFlush: cacheMode === "unsafe" } };
  const secrets = Object.fromEntries(Object.entries(values).filter(([option]) => option.endsWith("key-secret")));
  if (!imageOptions && Object.keys(secrets).length > 0)
    return graph.open({ driver: driver.name, file: name, ...nestOptions(secrets) } as DescribedNode, opening);
  if (!imageOptions) return graph.open(name, { driver: driver.name, ...opening });
  if (explicitFormat !== undefined)
    throw new CommandFailure("--target-image-opts and -O are mutually exclusive", 1, {
      words: ["--image-opts and --format are mutually exclusive"],
    });
  return graph.open(imageOptionsOf(name), opening);
}

/**
 * How many layers of the source are to be copied: those above the file that the target has as its backing file. Where that is none of the
 * source's, the user vouches that it has the content of the source's own backing file.
 */
export function sharedDepthOf(source: BlockNode, target: BlockNode): number {
  const shared = target.children.get("backing")?.node.identity;
  let depth = 0;
  for (
    let layer = source.children.get("backing")?.node;
    layer !== undefined && shared !== undefined;
    layer = layer.children.get("backing")?.node
  ) {
    depth++;
    if (layer.identity === shared) return depth;
  }
  return 1;
}

/** Making an image empties the file: the files that the sources are read from must not be among those emptied. */
async function refuseOwnSource({ graph, name, driver }: TargetWords, sources: readonly BlockNode[]): Promise<void> {
  const identity = await identityOf(graph, name);
  if (identity === undefined) return;
  for (const source of sources) {
    if (filesOf(source).some((node) => node.identity === identity)) throw ownSourceFailure(name, driver);
  }
}

/** qemu-img is in its own way. */
function ownSourceFailure(name: string, driver: BlockDriver): CommandFailure {
  const lock = `Failed to get "write" lock\nIs another process using the image [${name}]?`;
  return new CommandFailure(`${name}: the source is read from this file; it cannot be the target too`, 1, {
    words: [`${name}: error while converting ${driver.name}: ${lock}`],
  });
}

/** Device and inode, where there is such a file. */
async function identityOf(graph: BlockGraph, name: string): Promise<string | undefined> {
  try {
    await using file = await graph.open({ driver: "raw", file: name }, { readOnly: true, forceShare: true });
    return file.identity;
  } catch (error) {
    if (error instanceof BlockError) return undefined;
    throw error;
  }
}

function filesOf(node: BlockNode): readonly BlockNode[] {
  return [node, ...[...node.children.values()].flatMap((child) => filesOf(child.node))];
}

async function refuseMissingBacking(
  { graph, name: target }: TargetWords,
  name: string,
  format: string | undefined,
  session: Session,
): Promise<void> {
  try {
    await using _backing = await openImage(graph, { name, format }, session);
  } catch (error) {
    if (!(error instanceof OpenFailure)) throw error;
    const words = [`Could not open '${target}': Could not open backing file: ${error.reason}`];
    throw new CommandFailure(error.message, 1, { cause: error, words });
  }
}

/** Of work that has failed or was interrupted: its target is no image that anybody should take for one. */
export function incomplete(error: unknown, targetName: string): unknown {
  if (!(error instanceof BlockError) && !(error instanceof CommandFailure)) return error;
  const exitCode = error instanceof CommandFailure ? error.exitCode : 1;
  const words = error instanceof CommandFailure ? error.words : [failedWords(error)];
  return new CommandFailure(`${error.message}; '${targetName}' is incomplete`, exitCode, { cause: error, words });
}

function failedWords(error: BlockError): string {
  return error instanceof CopyWriteError ? `error while writing at byte ${error.offset}: ${systemWords(error)}` : qemuWords(error);
}
