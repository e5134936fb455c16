/** `coblock create`: a new, empty image. */

import { BlockError, resolveBeside, type BlockDriver, type BlockGraph } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, values } from "../command-line.ts";
import { incomplete } from "../convert-target.ts";
import { asksForHelp, parseCreationOptions, type CreationOptions } from "../creation-options.ts";
import { describeCreation, describeCreationOptions, protocolOf } from "../creation-text.ts";
import { CommandFailure, OpenFailure, UsageFailure } from "../failure.ts";
import { diskSize, loadFormat, openImage } from "../images.ts";
import { creationWords, qemuWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { FILE_SIZE_LIMIT, parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  backingFile: value("b", besides("backing")),
  backingFormat: value("F", besides("backing-format")),
  unsafe: flag("u", besides("backing-unsafe")),
  quiet: flag("q", besides("quiet")),
  creation: values("o", besides("options")),
} as const;

export const command: Command = defineCommand({
  name: "create",
  manual: async () => (await import("../manual/create.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    await using graph = session.createGraph();
    if (asksForHelp(options.creation)) {
      const asked = await loadFormat(graph, options.format ?? "raw");
      session.output.print(describeCreationOptions(asked, operands[0], session.program));
      return 0;
    }
    const [filename, sizeWord, ...more] = operands;
    if (filename === undefined) throw new UsageFailure("create", "Expecting image file name");
    if (more[0] !== undefined) throw new UsageFailure("create", `Unexpected argument: ${more[0]}`);
    const driver = await loadFormat(graph, options.format ?? "raw").catch((error: unknown) => {
      throw withFileName(error, filename);
    });
    if (driver.create === undefined)
      throw new CommandFailure(`${filename}: Format driver '${driver.name}' does not support image creation`);
    namedAfter(filename, () => checkPlace(filename));
    const given = namedAfter(filename, () => parseCreationOptions(driver, options.creation));
    if (given.size !== undefined && sizeWord !== undefined)
      throw new CommandFailure(`${filename}: The image size must be specified only once`);
    const creation: CreationOptions = {
      ...given,
      size: sizeWord === undefined ? given.size : parseSize(sizeWord, "image size", FILE_SIZE_LIMIT),
      backingFile: options.backingFile ?? given.backingFile,
      backingFormat: options.backingFormat ?? given.backingFormat,
    };
    await createImage({ graph, driver, filename, creation, looksAtBacking: !options.unsafe, quiet: options.quiet }, session);
    return 0;
  },
});

function checkPlace(filename: string): void {
  const protocol = protocolOf(filename);
  if (protocol !== "file") throw new CommandFailure(`Protocol driver '${protocol}' does not support image creation`);
}

/** qemu-img begins all that it says of a new image with its name. */
function namedAfter<T>(filename: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw withFileName(error, filename);
  }
}

function withFileName(error: unknown, filename: string): unknown {
  if (!(error instanceof CommandFailure) || error.words[0]?.startsWith("Invalid option list") === true) return error;
  const { message, exitCode } = error;
  return new CommandFailure(message, exitCode, { cause: error, words: error.words.map((words) => `${filename}: ${words}`) });
}

interface ImageToCreate {
  readonly graph: BlockGraph;
  readonly driver: BlockDriver;
  readonly filename: string;
  readonly creation: CreationOptions;
  readonly looksAtBacking: boolean;
  readonly quiet: boolean;
}

async function createImage(image: ImageToCreate, session: Session): Promise<void> {
  const { graph, driver, filename, creation } = image;
  const { backingFile, backingFormat } = creation;
  checkBackingWords(image, session);
  const backingSize = backingFile === undefined || !image.looksAtBacking ? undefined : await sizeOfBacking(image, backingFile, session);
  if (backingFile !== undefined && backingFormat === undefined) throw missingFormat(filename);
  const size = creation.size ?? backingSize;
  if (size === undefined) throw new CommandFailure(`${filename}: Image creation needs a size parameter`);
  if (!image.quiet) session.output.line(describeCreation(driver, filename, size, creation));
  session.output.flush();
  if (backingFile === undefined && backingFormat !== undefined && driver.name === "qcow2")
    throw new CommandFailure(`${filename}: Backing format cannot be used without backing file`);
  if (!Number.isSafeInteger(size)) throw tooLarge(driver, filename);
  const backing =
    backingFile === undefined
      ? {}
      : { backing: { filename: backingFile, ...(backingFormat === undefined ? {} : { format: backingFormat }) } };
  try {
    const made = { driver: driver.name, filename, size, values: creation.values, fileValues: creation.hints, ...backing };
    await graph.create({ ...made, onWarning: (message) => session.complain(`warning: ${message}`) }, { signal: session.signal });
  } catch (error) {
    if (!(error instanceof BlockError)) throw session.signal.aborted ? incomplete(error, filename) : error;
    if (error.errno === "EFBIG") throw tooLarge(driver, filename);
    const words = creationWords(driver, error);
    throw new CommandFailure(error.message.includes(filename) ? error.message : `${filename}: ${error.message}`, 1, {
      cause: error,
      words: [words.startsWith(`${filename}: `) ? words : `${filename}: ${words}`],
    });
  }
}

function tooLarge(driver: BlockDriver, filename: string): CommandFailure {
  const hasClusters = driver.createOptions?.some(({ name }) => name === "cluster_size") === true;
  const hint = hasClusters ? " (try using a larger cluster size)" : "";
  return new CommandFailure(`${filename}: The image size is too large for file format '${driver.name}'${hint}`);
}

function checkBackingWords({ driver, filename, creation: { backingFile, backingFormat } }: ImageToCreate, session: Session): void {
  const takesBacking = driver.optionNames.includes("backing");
  if (backingFile !== undefined && !takesBacking)
    throw new CommandFailure(`${filename}: Backing file not supported for file format '${driver.name}'`);
  if (backingFormat !== undefined && !takesBacking)
    throw new CommandFailure(`${filename}: Backing file format not supported for file format '${driver.name}'`);
  // qemu-img takes a format without a file where the image has no place for it.
  if (backingFile === undefined && backingFormat !== undefined && session.program.kind === "coblock")
    throw new CommandFailure(`${filename}: Backing format cannot be used without backing file`);
  if (backingFile === filename)
    throw new CommandFailure(`${filename}: Error: Trying to create an image with the same filename as the backing file`);
  if (backingFile === "") throw new CommandFailure(`${filename}: Expected backing file name, got empty string`);
}

/** `detected`: what the file looks like. It is told and not taken, for a guest can make a raw disk look like anything. */
function missingFormat(filename: string, detected?: string): CommandFailure {
  const words = `${filename}: Backing file specified without backing format`;
  return new CommandFailure(`${words} (-F)${detected === undefined ? "" : `; it looks like ${detected}`}`, 1, {
    words: [detected === undefined ? words : `${words}\nDetected format of ${detected}.`],
  });
}

/** Opens the whole chain below, as whoever opens the new image will. */
async function sizeOfBacking({ graph, filename, creation }: ImageToCreate, backingFile: string, session: Session): Promise<number> {
  const { backingFormat: format } = creation;
  try {
    await using backing = await openImage(
      graph,
      { name: resolveBeside(filename, backingFile), format, keyless: true, forceShare: true },
      session,
    );
    if (format === undefined) throw missingFormat(filename, backing.driver);
    return diskSize(backing);
  } catch (error) {
    const reason = error instanceof OpenFailure ? error.reason : error instanceof BlockError ? qemuWords(error) : undefined;
    if (reason === undefined) throw error;
    const words = [`${filename}: ${reason}\nCould not open backing image.`];
    throw new CommandFailure(`${filename}: Could not open backing image: ${(error as Error).message}`, 1, { cause: error, words });
  }
}
