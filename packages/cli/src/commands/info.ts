/** `coblock info`: what an image is, without opening any file that it names. */

import { resolveBeside, type BlockGraph, type BlockNode, type ImageInfo } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
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

const HELP = `
usage: coblock info [-f fmt] [--output=human|json] [--backing-chain] [--image-opts] [-U] filename
Tells format, sizes, snapshots and the format's own facts. Backing and data files that the image names are not opened.
  -f fmt           the format; else it is guessed from the first bytes
  --backing-chain  go on with the backing file, its backing file, and so on
  --image-opts     filename is a list: driver=qcow2,file.filename=disk.qcow2
  -U               also while another process writes to the image`;

/** Images of a chain; a longer one cannot be opened either. */
const MAX_CHAIN_LENGTH = 200;

export const command: Command = defineCommand({
  name: "info",
  help: HELP,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const json = wantsJson(options.output);
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("info", "Expecting one image file name");
    await using graph = session.createGraph({ implicitOpen: "deny" });
    const { format, imageOptions, forceShare } = options;
    const first = await gatherFacts(graph, { name, format, imageOptions, forceShare, alone: true }, session);
    const chain = options.backingChain ? await followChain(graph, first, forceShare, session) : [first];
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
  return { facts: await factsOf(node, info), identity: node.identity, backing: info.backing };
}

async function factsOf(node: BlockNode, info: ImageInfo): Promise<ImageFacts> {
  return {
    fileName: node.fileName,
    format: node.driver,
    virtualSize: diskSize(node),
    actualSize: await node.allocatedSize(),
    fullBackingName: info.backing === undefined ? undefined : resolveBeside(node.fileName, info.backing.filename),
    info,
  };
}

/** Images are opened one at a time, so that a chain costs no more than its longest link. */
async function followChain(graph: BlockGraph, first: Gathered, forceShare: boolean, session: Session): Promise<readonly Gathered[]> {
  const chain = [first];
  const seen = new Set([first.identity ?? first.facts.fileName]);
  for (let last = first; last.backing !== undefined;) {
    const name = last.facts.fullBackingName ?? last.backing.filename;
    if (name.startsWith("json:"))
      throw new CommandFailure(`'${last.facts.fileName}' names '${name}' as its backing file, which is no plain path`);
    if (chain.length >= MAX_CHAIN_LENGTH)
      throw new CommandFailure(`The backing chain of '${first.facts.fileName}' is longer than ${MAX_CHAIN_LENGTH} images`);
    last = await gatherFacts(graph, { name, format: last.backing.format, forceShare, alone: true }, session);
    const identity = last.identity ?? last.facts.fileName;
    if (seen.has(identity)) throw new CommandFailure(`Backing file '${name}' creates an infinite loop.`);
    seen.add(identity);
    chain.push(last);
  }
  return chain;
}
