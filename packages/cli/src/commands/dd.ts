/** `coblock dd`: copies part of a disk, block by block, into a new image. */

import { BlockError, type BlockDriver, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value } from "../command-line.ts";
import { incomplete, makeTarget, openTarget } from "../convert-target.ts";
import { CommandFailure } from "../failure.ts";
import { diskSize, loadFormat, openImage } from "../images.ts";
import { systemWords } from "../io/failure.ts";
import { creationWords, sizeRangeWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  targetFormat: value("O", besides("output-format")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

const DEFAULT_BLOCK_SIZE = 512;
const MAX_BLOCK_SIZE = 2 ** 31 - 1;
/** Bytes that are read and written at a time. */
const PIECE_LENGTH = 1024 * 1024;

interface Operands {
  readonly input: string;
  readonly output: string;
  readonly blockSize: number;
  readonly count: number | undefined;
  readonly skip: number;
}

export const command: Command = defineCommand({
  name: "dd",
  manual: async () => (await import("../manual/dd.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const copy = parseOperands(operands);
    const { format, imageOptions, forceShare } = options;
    await using graph = session.createGraph();
    const driver = await loadFormat(graph, options.targetFormat ?? "raw").catch((cause: unknown) => {
      throw cause instanceof CommandFailure ? new CommandFailure(cause.message, 1, { cause, words: ["Unknown file format"] }) : cause;
    });
    await using source = await openImage(graph, { name: copy.input, format, imageOptions, forceShare }, session);
    const end = Math.min(diskSize(source), copy.count === undefined ? Infinity : (copy.skip + copy.count) * copy.blockSize);
    const start = copy.skip * copy.blockSize;
    if (start > diskSize(source)) session.complain(`${copy.input}: cannot skip to specified offset`);
    const target = { graph, driver, name: copy.output, imageOptions: false, explicitFormat: undefined, cacheMode: "unsafe" };
    const creation = {
      values: {},
      hints: {},
      flagWords: {},
      backingFile: undefined,
      backingFormat: undefined,
      size: Math.max(end - start, 0),
    };
    await makeOutput(() => makeTarget(target, creation, [source], session), driver, copy.output);
    await using written = await openTarget(target, {}, session);
    await copyRange(source, written, { start, end }, session).catch((error: unknown) => {
      throw incomplete(error, copy.output);
    });
    return 0;
  },
});

async function makeOutput(make: () => Promise<void>, driver: BlockDriver, name: string): Promise<void> {
  try {
    await make();
  } catch (error) {
    const { cause } = error as Error;
    if (!(error instanceof CommandFailure && cause instanceof BlockError)) throw error;
    const words = [`${name}: error while creating output image: ${creationWords(driver, cause)}`];
    throw new CommandFailure(`${name}: error while creating an image of format ${driver.name}: ${cause.message}`, 1, { cause, words });
  }
}

function parseOperands(operands: readonly string[]): Operands {
  const given: Record<string, string | undefined> = {};
  for (const word of operands) {
    const [, name = "", text] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (text === undefined || !["if", "of", "bs", "count", "skip"].includes(name))
      throw new CommandFailure(`unrecognized operand ${name}`, 1, { words: [`unrecognized operand ${name}`] });
    given[name] = text;
    if (["bs", "count", "skip"].includes(name)) parseSize(text, name);
    if (name === "bs") checkBlockSize(text);
  }
  const { if: input, of: output, bs, count, skip } = given;
  if (input === undefined || output === undefined) throw new CommandFailure("Must specify both input and output files");
  return {
    input,
    output,
    blockSize: bs === undefined ? DEFAULT_BLOCK_SIZE : parseSize(bs, "bs"),
    count: count === undefined ? undefined : parseSize(count, "count"),
    skip: skip === undefined ? 0 : parseSize(skip, "skip"),
  };
}

function checkBlockSize(text: string): void {
  const size = parseSize(text, "bs");
  if (size < 1 || size > MAX_BLOCK_SIZE)
    throw new CommandFailure(`Invalid bs specified: '${text}' is not between 1 and ${MAX_BLOCK_SIZE}`, 1, {
      words: sizeRangeWords("bs", 1, String(MAX_BLOCK_SIZE)),
    });
}

interface Range {
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
}

async function copyRange(source: BlockNode, target: BlockNode, { start, end }: Range, session: Session): Promise<void> {
  const piece = new Uint8Array(Math.max(0, Math.min(PIECE_LENGTH, end - start)));
  for (let offset = start; offset < end; offset += piece.length) {
    session.signal.throwIfAborted();
    const buffer = piece.subarray(0, Math.min(piece.length, end - offset));
    await told("reading from input", () => readPadded(source, offset, buffer));
    await told("writing to output", () => target.write(offset - start, buffer));
  }
}

async function told(what: string, request: () => Promise<void>): Promise<void> {
  try {
    await request();
  } catch (cause) {
    if (!(cause instanceof BlockError)) throw cause;
    throw new CommandFailure(cause.message, 1, { cause, words: [`error while ${what} image file: ${systemWords(cause)}`] });
  }
}

/** What the last sector has behind the end of the disk reads as zeros. */
async function readPadded(source: BlockNode, offset: number, buffer: Uint8Array): Promise<void> {
  const length = Math.max(0, Math.min(buffer.length, source.size - offset));
  await source.read(offset, buffer.subarray(0, length));
  buffer.fill(0, length);
}
