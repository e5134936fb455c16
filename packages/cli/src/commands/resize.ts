/** `coblock resize`: another size for an image. */

import type { Preallocation } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { diskSize, openImage } from "../images.ts";
import { badSizeOptionWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { FILE_SIZE_LIMIT, parseSize } from "../text/size.ts";

const OPTIONS = {
  format: value("f", besides("format")),
  preallocation: value(undefined, "preallocation"),
  shrink: flag(undefined, "shrink"),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
} as const;

const PREALLOCATIONS: readonly Preallocation[] = ["off", "metadata", "falloc", "full"];

const SHRINK = "Use the --shrink option to perform a shrink operation.";
const SHRINK_WARNING =
  "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.";

export const command: Command = {
  ...resizeTo(undefined),
  /** For qemu-img the last word is the size whatever it looks like; else options may follow it, and it may be `-10M`. */
  run: (argv, session) => {
    const last = argv.at(-1) ?? "";
    const isQemu = session.program.kind !== "coblock";
    if (isQemu && argv.length < 2) throw new UsageFailure("resize", "Not enough arguments");
    return isQemu || /^-[0-9.]/.test(last) ? resizeTo(last).run(argv.slice(0, -1), session) : resizeTo(undefined).run(argv, session);
  },
};

/** `last`: the size, where it is not among the operands. */
function resizeTo(last: string | undefined): Command {
  return defineCommand({
    name: "resize",
    manual: async () => (await import("../manual/resize.ts")).page,
    options: OPTIONS,
    run: (line, session) => resize(line, last, session),
  });
}

async function resize({ options, operands }: CommandLine<typeof OPTIONS>, last: string | undefined, session: Session): Promise<number> {
  const [name, words, ...more] = last === undefined ? operands : [...operands, last];
  if (name === undefined || words === undefined || more.length > 0) throw new UsageFailure("resize", "Expecting image file name and size");
  const preallocation = PREALLOCATIONS.find((mode) => mode === (options.preallocation ?? "off"));
  if (preallocation === undefined) throw new CommandFailure(`Invalid preallocation mode '${options.preallocation}'`);
  const { format, imageOptions, shrink } = options;
  const amount = parseAmount(words.replace(/^[+-]/, ""));
  await using graph = session.createGraph();
  await using image = await openImage(graph, { name, format, imageOptions, writable: true }, session);
  const current = diskSize(image);
  const size = words.startsWith("+") ? current + amount : words.startsWith("-") ? current - amount : amount;
  if (size <= 0 || size >= FILE_SIZE_LIMIT) throw new CommandFailure("New image size must be positive");
  if (size <= current && preallocation !== "off") throw new CommandFailure("Preallocation can only be used for growing images");
  if (size < current && !shrink)
    throw new CommandFailure("Use the --shrink option to perform a shrink operation; it deletes all data beyond the new end", 1, {
      words: [SHRINK, SHRINK_WARNING],
    });
  if (!Number.isSafeInteger(size))
    throw new CommandFailure(`${size} bytes are more than an image can have`, 1, {
      words: ["Failed to grow the L1 table: File too large"],
    });
  await image.resize(size, { preallocation, shrink, signal: session.signal });
  if (!options.quiet) session.output.line("Image resized.");
  return 0;
}

function parseAmount(text: string): number {
  try {
    return parseSize(text, "image size", FILE_SIZE_LIMIT * 2);
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    throw new CommandFailure(cause.message, 1, {
      cause,
      words: [/^\d+[pe]?$/i.test(text) ? `Value '${text}' is out of range for parameter 'size'` : badSizeOptionWords("size")],
    });
  }
}
