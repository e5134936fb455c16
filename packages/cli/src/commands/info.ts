/** `coblock info`: what an image is, without opening any file that it names. */

import { resolveBeside, type BlockGraph, type BlockNode, type ImageInfo } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { imageNameOf } from "../image-name.ts";
import { diskSize, openImage, wantsJson, type ImageWords } from "../images.ts";
import type { Session } from "../session.ts";
import { describeInfo, infoJson, type ImageFacts } from "../text/image-info.ts";
import { formatJson } from "../text/json.ts";

const OPTIONS = {
  format: value("f", "format"),
  output: value(undefined, "output"),
  backingChain: flag(undefined, "backing-chain"),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

const STATELESS: readonly string[] = ["nbd", "http", "https", "null-co", "null-aio", "quorum"];
const PASSING: readonly string[] = ["raw", "luks", "throttle", "copy-on-read", "preallocate", "blkdebug"];
/** Images of a chain; a longer one cannot be opened either. */
const MAX_CHAIN_LENGTH = 200;

export const command: Command = defineCommand({
  name: "info",
  manual: async () => (await import("../manual/info.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const json = wantsJson(options.output);
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("info", "Expecting one image file name");
    await using graph = session.createGraph({ implicitOpen: "deny" });
    const { format, imageOptions, forceShare } = options;
    const first = await gatherFacts(graph, { name, format, imageOptions, forceShare, alone: true }, session);
    if (options.backingChain && options.output === undefined && session.screen.isTerminal) {
      await printChainTable(graph, first, forceShare, session);
      return 0;
    }
    const chain = [first];
    if (options.backingChain) for await (const image of followChain(graph, first, forceShare, session)) chain.push(image);
    if (!json) session.output.print(chain.map((image) => describeInfo(image.facts)).join("\n"));
    else session.output.line(formatJson(options.backingChain ? chain.map((image) => infoJson(image.facts)) : infoJson(first.facts)));
    return 0;
  },
});

interface Gathered {
  readonly facts: ImageFacts;
  readonly identity: string | undefined;
  readonly backing: ImageInfo["backing"];
}

async function gatherFacts(graph: BlockGraph, words: ImageWords, session: Session): Promise<Gathered> {
  await using node = await openImage(graph, words, session);
  const info = await node.info();
  const shownName = imageNameOf(node, words.name, words.imageOptions === true);
  return { facts: await factsOf(node, info, shownName), identity: node.identity, backing: info.backing };
}

async function factsOf(node: BlockNode, info: ImageInfo, shownName: string): Promise<ImageFacts> {
  return {
    fileName: node.fileName,
    shownName,
    format: node.driver,
    virtualSize: diskSize(node),
    actualSize: isOnTests(node) ? undefined : await node.allocatedSize(),
    fullBackingName: info.backing === undefined ? undefined : resolveBeside(node.fileName, info.backing.filename),
    knowsDirty: knowsDirty(node),
    info,
  };
}

/** Below drivers for tests qemu-img does not see how much the host keeps. */
function isOnTests(node: BlockNode): boolean {
  const below = node.children.get("file")?.node;
  return ["blkdebug", "blkverify"].includes(node.driver) || (below !== undefined && isOnTests(below));
}

/** Of drivers that have no state, and of what lies on them without one of its own, qemu-img says nothing. */
function knowsDirty(node: BlockNode): boolean {
  if (STATELESS.includes(node.driver)) return false;
  const below = node.children.get("file")?.node;
  return below === undefined || !PASSING.includes(node.driver) || knowsDirty(below);
}

/** For people; as much of the chain as there is, also where it ends in a failure. */
async function printChainTable(graph: BlockGraph, first: Gathered, forceShare: boolean, session: Session): Promise<void> {
  const { chainTable } = await import("../terminal/chain-table.ts");
  const chain = [first.facts];
  try {
    for await (const { facts } of followChain(graph, first, forceShare, session)) chain.push(facts);
  } finally {
    session.output.print(chainTable(chain, session.screen));
  }
}

/** What the first image stands on. Images are opened one at a time, so that a chain costs no more than its longest link. */
async function* followChain(graph: BlockGraph, first: Gathered, forceShare: boolean, session: Session): AsyncGenerator<Gathered> {
  let length = 1;
  const seen = new Set([first.identity ?? first.facts.fileName]);
  for (let last = first; last.backing !== undefined;) {
    const name = last.facts.fullBackingName ?? last.backing.filename;
    if (name.startsWith("json:"))
      throw new CommandFailure(`'${last.facts.fileName}' names '${name}' as its backing file, which is no plain path`);
    if (length++ >= MAX_CHAIN_LENGTH)
      throw new CommandFailure(`The backing chain of '${first.facts.fileName}' is longer than ${MAX_CHAIN_LENGTH} images`);
    last = await gatherFacts(graph, { name, format: last.backing.format, forceShare, alone: true }, session);
    const identity = last.identity ?? last.facts.fileName;
    if (seen.has(identity)) throw new CommandFailure(`Backing file '${name}' creates an infinite loop.`);
    seen.add(identity);
    yield last;
  }
}
