/** `coblock snapshot`: lists, makes, applies and deletes the snapshots inside an image. */

import { BlockError, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { openImage } from "../images.ts";
import { qemuWords } from "../qemu-words.ts";
import type { Session } from "../session.ts";
import { describeSnapshots } from "../text/snapshot-list.ts";

const OPTIONS = {
  list: flag("l"),
  apply: value("a"),
  create: value("c"),
  delete: value("d"),
  format: value(besides("f"), besides("format")),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

export const command: Command = defineCommand({
  name: "snapshot",
  manual: async () => (await import("../manual/snapshot.ts")).page,
  options: OPTIONS,
  run: async (line, session) => {
    const action = chosenAction(line);
    const { options, operands } = line;
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("snapshot", "Expecting one image file name");
    const { format, imageOptions, forceShare } = options;
    const writable = action !== undefined && action.kind !== "list";
    await using graph = session.createGraph();
    await using image = await openImage(graph, { name, format, imageOptions, forceShare, writable }, session);
    if (action !== undefined) await run(image, action, session);
    return 0;
  },
});

type Action = { readonly kind: "list" } | { readonly kind: "apply" | "create" | "delete"; readonly snapshot: string };

function chosenAction({ given }: CommandLine<typeof OPTIONS>): Action | undefined {
  const actions = given.flatMap(({ name, text: snapshot = "" }): Action[] => {
    if (name === "list") return [{ kind: "list" }];
    return name === "apply" || name === "create" || name === "delete" ? [{ kind: name, snapshot }] : [];
  });
  if (actions.length > 1) throw new UsageFailure(undefined, "Cannot mix '-l', '-a', '-c', '-d'");
  return actions[0];
}

async function run({ snapshots }: BlockNode, action: Action, session: Session): Promise<void> {
  if (action.kind === "list")
    return session.output.print(
      describeSnapshots(snapshots.list())
        .map((line) => `${line}\n`)
        .join(""),
    );
  const { kind, snapshot } = action;
  try {
    if (kind === "create") await snapshots.create(snapshot);
    else if (kind === "apply") await snapshots.apply(snapshot);
    else await snapshots.delete({ name: snapshot });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;

    throw new CommandFailure(`Could not ${kind} snapshot '${snapshot}': ${error.message}`, 1, {
      cause: error,
      words: [`Could not ${kind} snapshot '${snapshot}': ${snapshotWords(kind, error)}`],
    });
  }
}

/** What qemu-img says of the same failure. */
function snapshotWords(kind: "apply" | "create" | "delete", error: BlockError): string {
  const unsupported = error.code === "UNSUPPORTED_FEATURE";
  if (kind === "create" && unsupported) return "-95 (Operation not supported)";
  if (kind === "apply" && unsupported) return "Block driver does not support snapshots";
  if (kind === "apply" && error.code === "NOT_FOUND") return "Failed to load snapshot: No such file or directory";
  if (kind === "delete" && (unsupported || error.code === "NOT_FOUND")) return "snapshot not found";
  return qemuWords(error);
}
