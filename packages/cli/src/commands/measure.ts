/** `coblock measure`: how large an image file would become. */

import type { BlockDriver, BlockNode, CreateValue, MeasuredContent } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, values } from "../command-line.ts";
import { checkChoices, parseCreationOptions, type CreationOptions } from "../creation-options.ts";
import { CommandFailure } from "../failure.ts";
import { diskSize, loadFormat, openImage, wantsJson, type ImageWords } from "../images.ts";
import { bitmapBytes } from "../bitmap-size.ts";
import type { Session } from "../session.ts";
import { parseSnapshotWords } from "../snapshot-words.ts";
import { formatJson } from "../text/json.ts";
import { tellingStatus } from "../told-status.ts";
import { FILE_SIZE_LIMIT, parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  targetFormat: value("O", besides("target-format")),
  creation: values("o", besides("options")),
  size: value(undefined, "size"),
  output: value(undefined, "output"),
  snapshot: value("l"),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

interface Measured {
  readonly required: number;
  readonly fullyAllocated: number;
  /** Absent where source or target has no bitmaps. */
  readonly bitmaps: number | undefined;
}

export const command: Command = defineCommand({
  name: "measure",
  manual: async () => (await import("../manual/measure.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const json = wantsJson(options.output);
    const [name, ...more] = operands;
    if (more.length > 0)
      throw new CommandFailure("measure: At most one filename argument is allowed.", 1, {
        words: ["At most one filename argument is allowed."],
      });
    const size = options.size === undefined ? undefined : parseSize(options.size, "image size", FILE_SIZE_LIMIT);
    if (name !== undefined && size !== undefined)
      throw new CommandFailure("measure: --size N cannot be used together with a filename.", 1, {
        words: ["--size N cannot be used together with a filename."],
      });
    await using graph = session.createGraph();
    const driver = await loadFormat(graph, options.targetFormat ?? "raw");
    const creation = parseOptions(driver, options.creation);
    checkChoices(driver, creation.values);
    if (size !== undefined) return print(await measure(driver, creation, { size }), json, session);
    if (name === undefined)
      throw new CommandFailure("measure: Either --size N or one filename must be specified.", 1, {
        words: ["Either --size N or one filename must be specified."],
      });
    const { format, imageOptions, forceShare } = options;
    const words: ImageWords = { name, format, imageOptions, forceShare, snapshot: parseSnapshotWords(options.snapshot) };
    await using image = await openImage(graph, words, session);
    const extents = tellingStatus(image.extents(), "Unable to get block status");
    const content = { size: diskSize(image), extents, hasBacking: creation.backingFile !== undefined };
    const measured = await measure(driver, creation, content);
    return print({ ...measured, bitmaps: await bitmapsOf(image, driver, creation.values) }, json, session);
  },
});

/** qemu-img adds a line on the format to what it says of the option. */
function parseOptions(driver: BlockDriver, lists: readonly string[]): CreationOptions {
  try {
    return parseCreationOptions(driver, lists);
  } catch (cause) {
    if (!(cause instanceof CommandFailure) || cause.words[0]?.startsWith("Invalid option list") === true) throw cause;
    const words = [...cause.words, `Invalid options for file format '${driver.name}'`];
    throw new CommandFailure(cause.message, 1, { cause, words });
  }
}

async function measure(
  driver: BlockDriver,
  { values: creationValues }: CreationOptions,
  content: Omit<MeasuredContent, "values">,
): Promise<Measured> {
  if (driver.measure === undefined) throw new CommandFailure(`Block driver '${driver.name}' does not support size measurement`);
  if (!Number.isSafeInteger(content.size)) throw new CommandFailure("The image size is too large (try using a larger cluster size)");
  const defaults = Object.fromEntries(
    (driver.createOptions ?? []).flatMap(({ name, defaultValue }) => (defaultValue === undefined ? [] : [[name, defaultValue]])),
  );
  try {
    const { required, fullyAllocated } = await driver.measure({ ...content, values: { ...defaults, ...creationValues } });
    return { required, fullyAllocated, bitmaps: undefined };
  } catch (cause) {
    const [, compatibility] = /^Unknown compatibility level '(.*)'$/s.exec((cause as Error).message) ?? [];
    if (compatibility === undefined) throw cause;
    throw new CommandFailure((cause as Error).message, 1, { cause, words: [`Invalid compatibility level: '${compatibility}'`] });
  }
}

/** Only qcow2 of version 3 keeps bitmaps. */
async function bitmapsOf(
  image: BlockNode,
  driver: BlockDriver,
  creationValues: Readonly<Record<string, CreateValue>>,
): Promise<number | undefined> {
  if (image.driver !== "qcow2" || driver.name !== "qcow2" || creationValues["compat"] === "0.10" || creationValues["compat"] === "v2")
    return undefined;
  const { formatSpecific } = await image.info();
  if (formatSpecific?.data["compat"] === "0.10") return undefined;
  const defaultClusterSize = driver.createOptions?.find(({ name }) => name === "cluster_size")?.defaultValue;
  return bitmapBytes(formatSpecific?.data["bitmaps"], {
    diskSize: image.size,
    clusterSize: Number(creationValues["cluster_size"] ?? defaultClusterSize),
  });
}

function print({ required, fullyAllocated, bitmaps }: Measured, json: boolean, session: Session): number {
  if (json) session.output.line(formatJson({ bitmaps, required, "fully-allocated": fullyAllocated }));
  else {
    session.output.line(`required size: ${required}\nfully allocated size: ${fullyAllocated}`);
    if (bitmaps !== undefined) session.output.line(`bitmaps size: ${bitmaps}`);
  }
  return 0;
}
