/** `coblock amend`: other options for an image that exists. */

import type { BlockDriver, BlockNode, CreateValue } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, values } from "../command-line.ts";
import { asksForHelp, checkOptionList, parseOptionValue } from "../creation-options.ts";
import { optionLines } from "../creation-text.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, loadFormat, openImage } from "../images.ts";
import type { Session } from "../session.ts";
import { parseKeyValues } from "../text/key-values.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  changes: values("o", besides("options")),
  cache: value("t", besides("cache")),
  progress: flag("p", besides("progress")),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
  force: flag(undefined, "force"),
} as const;

export const command: Command = defineCommand({
  name: "amend",
  manual: async () => (await import("../manual/amend.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const { format, changes, imageOptions, cache } = options;
    if (changes.length === 0) throw new UsageFailure(undefined, "Must specify options (-o)");
    await using graph = session.createGraph();
    if (format !== undefined && asksForHelp(changes)) {
      printHelp(await loadFormat(graph, format), session);
      return 0;
    }
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new CommandFailure("Expecting one image file name");
    checkCacheMode(cache, "cache");
    await using image = await openImage(graph, { name, format, imageOptions, writable: true, noFlush: cache === "unsafe" }, session);
    const driver = await graph.driver(image.driver);
    if (asksForHelp(changes)) {
      printHelp(driver, session);
      return 0;
    }
    await amend(image, parseChanges(driver, changes), options, session);
    return 0;
  },
});

function printHelp(driver: BlockDriver, session: Session): void {
  session.output.print(`Amend options for '${driver.name}':\n${optionLines(optionsOf(driver))}`);
}

function optionsOf({ name, amendOptions }: BlockDriver): NonNullable<BlockDriver["amendOptions"]> {
  if (amendOptions === undefined) throw new CommandFailure(`Format driver '${name}' does not support option amendment`);
  return amendOptions;
}

function parseChanges(driver: BlockDriver, lists: readonly string[]): Readonly<Record<string, CreateValue>> {
  const known = optionsOf(driver);
  for (const list of lists) checkOptionList(list);
  const given = new Map<string, CreateValue>();
  for (const [name, text] of lists.flatMap((list) => [...parseKeyValues(list)])) {
    const option = known.find((candidate) => candidate.name === name);
    if (option === undefined) {
      const created = driver.createOptions?.some((candidate) => candidate.name === name) ?? false;
      throw new CommandFailure(
        `Invalid parameter '${name}'${created || name === "encryption" ? "\nThis option is only supported for image creation" : ""}`,
      );
    }
    if (name === "backing_file" || name === "backing_fmt")
      throw new CommandFailure("Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
    given.set(name, parseOptionValue(option, text));
  }
  return Object.fromEntries(given);
}

async function amend(
  image: BlockNode,
  changes: Readonly<Record<string, CreateValue>>,
  options: { readonly progress: boolean; readonly quiet: boolean; readonly force: boolean },
  session: Session,
): Promise<void> {
  const progress = session.startProgress({ printed: options.progress && !options.quiet, quiet: options.quiet, stepPercent: 1 });
  try {
    const onProgress = (done: number, total: number): void => progress.update(done, total);
    await image.amend(changes, { signal: session.signal, onProgress, force: options.force });
    progress.finish();
  } finally {
    progress.end();
  }
}
