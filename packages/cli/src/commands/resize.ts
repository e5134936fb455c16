/** `coblock resize`: another size for an image. */

import type { Preallocation } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { flag, value } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { diskSize, openImage } from "../images.ts";
import { badSizeOptionWords } from "../qemu-words.ts";
import { parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", "format"),
  preallocation: value(undefined, "preallocation"),
  shrink: flag(undefined, "shrink"),
  quiet: flag("q", "quiet"),
  imageOptions: flag(undefined, "image-opts"),
} as const;

const PREALLOCATIONS: readonly Preallocation[] = ["off", "metadata", "falloc", "full"];

const SHRINK = "Use the --shrink option to perform a shrink operation.";
const SHRINK_WARNING =
  "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.";

const resize: Command = defineCommand({
  name: "resize",
  manual: async () => (await import("../manual/resize.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [name, words, ...more] = operands;
    if (name === undefined || words === undefined || more.length > 0)
      throw new UsageFailure("resize", "Expecting image file name and size", operands.length < 2 ? "Not enough arguments" : undefined);
    const preallocation = PREALLOCATIONS.find((mode) => mode === (options.preallocation ?? "off"));
    if (preallocation === undefined) throw new CommandFailure(`Invalid preallocation mode '${options.preallocation}'`);
    const { format, imageOptions, shrink } = options;
    const amount = parseAmount(words.replace(/^[+-]/, ""));
    await using graph = session.createGraph();
    await using image = await openImage(graph, { name, format, imageOptions, writable: true }, session);
    const current = diskSize(image);
    const size = words.startsWith("+") ? current + amount : words.startsWith("-") ? current - amount : amount;
    if (size <= 0) throw new CommandFailure("New image size must be positive");
    if (size <= current && preallocation !== "off") throw new CommandFailure("Preallocation can only be used for growing images");
    if (size < current && !shrink)
      throw new CommandFailure("Use the --shrink option to perform a shrink operation; it deletes all data beyond the new end", 1, {
        words: [SHRINK, SHRINK_WARNING],
      });
    await image.resize(size, { preallocation, shrink });
    if (!options.quiet) session.output.line("Image resized.");
    return 0;
  },
});

function parseAmount(text: string): number {
  try {
    return parseSize(text, "image size");
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    throw new CommandFailure(cause.message, 1, { cause, words: [badSizeOptionWords("size")] });
  }
}

export const command: Command = {
  ...resize,
  /** The last word is the size also where it looks like an option (`-10M`). */
  run: (argv, session) => {
    const size = argv.at(-1);
    const asOperand = size !== undefined && /^-[0-9.]/.test(size) && !argv.includes("--") ? [...argv.slice(0, -1), "--", size] : argv;
    return resize.run(asOperand, session);
  },
};
