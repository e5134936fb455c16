/** `coblock map`: where the bytes of an image are. */

import type { BlockNode, BlockStatus } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, optional, own, value } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { diskSize, openImage, wantsJson } from "../images.ts";
import type { Session } from "../session.ts";
import { tellingStatus } from "../told-status.ts";
import { parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", "format"),
  output: value(undefined, "output"),
  draw: own(optional(undefined, "draw")),
  startOffset: value("s", "start-offset"),
  maxLength: value("l", "max-length"),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

export const command: Command = defineCommand({
  name: "map",
  manual: async () => (await import("../manual/map.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const { draw } = options;
    const json = draw === undefined ? wantsJson(options.output) : false;
    const asSvg = draw !== undefined && wantsSvg(options.output);
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("map", "Expecting one image file name");
    const start = options.startOffset === undefined ? 0 : parseSize(options.startOffset, "start offset");
    const longest = options.maxLength === undefined ? Number.MAX_SAFE_INTEGER : parseSize(options.maxLength, "max length");
    await using graph = session.createGraph();
    await using image = await openImage(graph, { name, ...options }, session);
    if (draw !== undefined) {
      const { drawImage } = await import("../drawing/draw-image.ts");
      await drawImage(image, { start, end: Math.min(image.size, start + longest), fileName: draw, asSvg }, session);
      return 0;
    }
    const runs = tellingStatus(runsOf(image, start, Math.min(diskSize(image), start + longest)), "Could not read file metadata");
    return await (json ? printJson(runs, start, session) : printTable(runs, session));
  },
});

/** `--output` beside `--draw`. */
function wantsSvg(output: string | undefined): boolean {
  if (output === undefined || output === "human") return false;
  if (output === "svg") return true;
  throw new CommandFailure("--output must be used with human or svg as argument where --draw is given");
}

/** The image's runs and what fills its last sector, which is there for guests alone. */
async function* runsOf(image: BlockNode, start: number, end: number): AsyncGenerator<BlockStatus> {
  let pending: BlockStatus | undefined;
  if (start < image.size && start < end) {
    for await (const run of image.extents({ offset: start, length: Math.min(end, image.size) - start })) {
      if (pending !== undefined) yield pending;
      pending = run;
    }
  }
  const tailStart = Math.max(image.size, start);
  if (tailStart >= end) {
    if (pending !== undefined) yield pending;
    return;
  }
  const location = { node: image.name, fileName: image.fileName, offset: tailStart };
  if (pending?.kind === "zero") yield { ...pending, length: end - pending.offset };
  else {
    if (pending !== undefined) yield pending;
    yield { offset: tailStart, length: end - tailStart, depth: 0, kind: "zero", location };
  }
}

async function printJson(runs: AsyncIterable<BlockStatus>, start: number, session: Session): Promise<number> {
  let separator = "";
  session.output.print("[");
  for await (const run of runs) {
    session.signal.throwIfAborted();
    session.output.print(separator + jsonOf(run));
    separator = ",\n";
  }
  if (separator === "")
    session.output.print(`{ "start": ${start}, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}`);
  session.output.print("]\n");
  return 0;
}

function jsonOf({ offset, length, depth, kind, location, holeBelow = false }: BlockStatus): string {
  const isZero = kind === "zero" || kind === "unallocated";
  const isData = !isZero || holeBelow;
  const where = location === undefined ? "" : `, "offset": ${location.offset}`;
  return `{ "start": ${offset}, "length": ${length}, "depth": ${depth}, "present": ${kind !== "unallocated"}, "zero": ${isZero}, "data": ${isData}${where}}`;
}

/** Ends with an error at the first run with data that no file holds as it is. */
async function printTable(runs: AsyncIterable<BlockStatus>, session: Session): Promise<number> {
  session.output.line(`${"Offset".padEnd(16)}${"Length".padEnd(16)}${"Mapped to".padEnd(16)}File`);
  for await (const { offset, length, kind, location } of runs) {
    session.signal.throwIfAborted();
    if (kind !== "data" && kind !== "compressed") continue;
    if (location === undefined) throw new CommandFailure("File contains external, encrypted or compressed clusters.");
    session.output.line(`${hexColumn(offset)}${hexColumn(length)}${hexColumn(location.offset)}${location.fileName}`);
  }
  return 0;
}

/** As C's `%#-16x`. */
function hexColumn(number: number): string {
  return (number === 0 ? "0" : `0x${number.toString(16)}`).padEnd(16);
}
