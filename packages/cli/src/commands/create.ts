/** `coblock create`: a new, empty image. */

import { BlockError, resolveBeside, type BlockDriver, type BlockGraph } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value, values } from "../command-line.ts";
import { asksForHelp, describeCreation, describeCreationOptions, parseCreationOptions, type CreationOptions } from "../creation-options.ts";
import { CommandFailure, OpenFailure, UsageFailure } from "../failure.ts";
import { diskSize, loadFormat, openImage } from "../images.ts";
import { qemuWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", "format"),
  backingFile: value("b", "backing"),
  backingFormat: value("F", "backing-format"),
  unsafe: flag("u", "backing-unsafe"),
  quiet: flag("q", "quiet"),
  creation: values("o", "options"),
} as const;

export const command: Command = defineCommand({
  name: "create",
  manual: async () => (await import("../manual/create.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    await using graph = session.createGraph();
    if (asksForHelp(options.creation)) {
      const asked = await loadFormat(graph, options.format ?? "raw");
      session.output.print(describeCreationOptions(asked, session.program));
      return 0;
    }
    const [filename, sizeWord, ...more] = operands;
    if (filename === undefined) throw new UsageFailure("create", "Expecting image file name");
    if (more[0] !== undefined) throw new UsageFailure("create", `Unexpected argument: ${more[0]}`);
    const driver = await loadFormat(graph, options.format ?? "raw").catch((error: unknown) => {
      throw withFileName(error, filename);
    });
    const given = namedAfter(filename, () => parseCreationOptions(driver, options.creation));
    if (given.size !== undefined && sizeWord !== undefined)
      throw new CommandFailure(`${filename}: The image size must be specified only once`);
    const creation: CreationOptions = {
      ...given,
      size: sizeWord === undefined ? given.size : parseSize(sizeWord, "image size"),
      backingFile: options.backingFile ?? given.backingFile,
      backingFormat: options.backingFormat ?? given.backingFormat,
    };
    await createImage({ graph, driver, filename, creation, looksAtBacking: !options.unsafe, quiet: options.quiet }, session);
    return 0;
  },
});

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
  checkBackingWords(image);
  const backingSize =
    creation.backingFile === undefined || !image.looksAtBacking ? undefined : await sizeOfBacking(image, creation.backingFile, session);
  const size = creation.size ?? backingSize;
  if (size === undefined) throw new CommandFailure(`${filename}: Image creation needs a size parameter`);
  if (!image.quiet) session.output.line(describeCreation(driver, filename, size, creation));
  session.output.flush();
  const { backingFile, backingFormat } = creation;
  const backing =
    backingFile === undefined
      ? {}
      : { backing: { filename: backingFile, ...(backingFormat === undefined ? {} : { format: backingFormat }) } };
  try {
    await graph.create({ driver: driver.name, filename, size, values: creation.values, ...backing }, { signal: session.signal });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;

    const words = qemuWords(error);
    throw new CommandFailure(error.message.includes(filename) ? error.message : `${filename}: ${error.message}`, 1, {
      cause: error,
      words: [words.startsWith(`${filename}: `) ? words : `${filename}: ${words}`],
    });
  }
}

function checkBackingWords({ driver, filename, creation: { backingFile, backingFormat } }: ImageToCreate): void {
  if (backingFile === undefined) {
    if (backingFormat !== undefined) throw new CommandFailure(`${filename}: Backing format cannot be used without backing file`);
    return;
  }
  if (!driver.optionNames.includes("backing"))
    throw new CommandFailure(`${filename}: Backing file not supported for file format '${driver.name}'`);
  if (backingFile === filename)
    throw new CommandFailure(`${filename}: Error: Trying to create an image with the same filename as the backing file`);
  if (backingFile === "") throw new CommandFailure(`${filename}: Expected backing file name, got empty string`);
  if (backingFormat === undefined)
    throw new CommandFailure(`${filename}: Backing file specified without backing format (-F)`, 1, {
      words: [`${filename}: Backing file specified without backing format`],
    });
}

/** Opens the whole chain below, as whoever opens the new image will. */
async function sizeOfBacking({ graph, filename, creation }: ImageToCreate, backingFile: string, session: Session): Promise<number> {
  try {
    await using backing = await openImage(graph, { name: resolveBeside(filename, backingFile), format: creation.backingFormat }, session);
    return diskSize(backing);
  } catch (error) {
    if (!(error instanceof OpenFailure)) throw error;
    const words = [`${filename}: ${error.reason}\nCould not open backing image.`];
    throw new CommandFailure(`${filename}: Could not open backing image: ${error.message}`, 1, { cause: error, words });
  }
}
