/** `coblock bitmap`: makes, changes and removes the dirty bitmaps inside an image. */

import { BlockError, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, values, type CommandLine } from "../command-line.ts";
import { CommandFailure } from "../failure.ts";
import { openImage } from "../images.ts";
import { qemuWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { parseSize } from "../text/size.ts";

const ACTIONS = {
  add: flag(undefined, "add"),
  remove: flag(undefined, "remove"),
  clear: flag(undefined, "clear"),
  enable: flag(undefined, "enable"),
  disable: flag(undefined, "disable"),
  merge: values(undefined, "merge"),
} as const;
const OPTIONS = {
  ...ACTIONS,
  sourceFile: value("b", "source-file"),
  sourceFormat: value("F", "source-format"),
  granularity: value("g", "granularity"),
  format: value("f", besides("format")),
  imageOptions: flag(undefined, "image-opts"),
} as const;
type Words = CommandLine<typeof OPTIONS>;

export const command: Command = defineCommand({
  name: "bitmap",
  manual: async () => (await import("../manual/bitmap.ts")).page,
  options: OPTIONS,
  run: async (line, session) => {
    const actions = actionsOf(line);
    const granularity = checkWords(line, actions);
    const [name, bitmap, ...more] = line.operands;
    if (name === undefined || bitmap === undefined || more.length > 0) throw new CommandFailure("Expecting filename and bitmap name");
    const { format, imageOptions, sourceFile, sourceFormat } = line.options;
    await using graph = session.createGraph();
    await using image = await openImage(graph, { name, format, imageOptions, writable: true }, session);
    await using other = sourceFile === undefined ? undefined : await openImage(graph, { name: sourceFile, format: sourceFormat }, session);
    await runAll({ image, source: other ?? image, bitmap, granularity }, actions, session);
    return 0;
  },
});

interface Action {
  readonly kind: keyof typeof ACTIONS;
  /** What is merged. */
  readonly source: string;
}

function actionsOf({ given }: Words): readonly Action[] {
  return given.flatMap(({ name, text = "" }) => (isAction(name) ? [{ kind: name, source: text }] : []));
}

function isAction(name: keyof typeof OPTIONS): name is Action["kind"] {
  return name in ACTIONS;
}

/** Answers the granularity in bytes; throws CommandFailure for words that do not go together. */
function checkWords({ options }: Words, actions: readonly Action[]): number | undefined {
  const granularity = options.granularity === undefined ? 0 : parseSize(options.granularity, "granularity");
  const isThere = (kind: Action["kind"]): boolean => actions.some((action) => action.kind === kind);
  if (actions.length === 0) throw new CommandFailure("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
  if (granularity !== 0 && !isThere("add")) throw new CommandFailure("granularity only supported with --add");
  if (options.sourceFormat !== undefined && options.sourceFile === undefined) throw new CommandFailure("-F only supported with -b");
  if (options.sourceFile !== undefined && !isThere("merge"))
    throw new CommandFailure("Merge bitmap source file only supported with --merge");
  return granularity === 0 ? undefined : granularity;
}

interface Place {
  readonly image: BlockNode;
  /** Where `--merge` finds its sources. */
  readonly source: BlockNode;
  readonly bitmap: string;
  readonly granularity: number | undefined;
}

/** Between two actions the command can be stopped; what was done is kept when the image is closed. */
async function runAll(place: Place, actions: readonly Action[], session: Session): Promise<void> {
  for (const action of actions) {
    session.signal.throwIfAborted();
    try {
      await run(place, action);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw new CommandFailure(`Operation ${action.kind} on bitmap ${place.bitmap} failed: ${error.message}`, 1, {
        cause: error,
        words: [`Operation ${action.kind} on bitmap ${place.bitmap} failed: ${qemuWords(error)}`],
      });
    }
  }
}

async function run({ image: { bitmaps }, source, bitmap, granularity }: Place, action: Action): Promise<void> {
  switch (action.kind) {
    case "add":
      await bitmaps.add({ name: bitmap, granularity, persistent: true });
      break;
    case "merge":
      // Of two that are missing the image's own is told.
      await bitmaps.get(bitmap);
      await bitmaps.merge(bitmap, [await source.bitmaps.get(action.source)]);
      break;
    case "remove":
    case "clear":
    case "enable":
    case "disable":
      await bitmaps[action.kind](bitmap);
  }
}
