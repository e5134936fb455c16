/** `coblock check`: looks for damage, and repairs it with `-r`. */

import type { BlockNode, CheckOptions, CheckResult, Finding } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, own, value } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, openImage, wantsJson } from "../images.ts";
import type { Session } from "../session.ts";
import { formatFixed } from "../text/fixed.ts";
import { formatJson } from "../text/json.ts";

const OPTIONS = {
  format: value("f", "format"),
  output: value(undefined, "output"),
  repair: value("r", "repair"),
  cache: value("T"),
  quiet: flag("q", besides("quiet")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
  explain: own(flag(undefined, "explain")),
  dryRun: own(flag(undefined, "dry-run")),
} as const;

/** The format has no check. */
const EXIT_UNSUPPORTED = 63;

export const command: Command = defineCommand({
  name: "check",
  manual: async () => (await import("../manual/check.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const { format, imageOptions, forceShare, quiet, explain, dryRun } = options;
    const json = wantsJson(options.output);
    const repair = options.repair ?? "none";
    if (repair !== "none" && repair !== "leaks" && repair !== "all")
      throw new UsageFailure(undefined, `Unknown option value for -r (expecting 'leaks' or 'all'): ${repair}`);
    if (dryRun && repair === "none") throw new CommandFailure("--dry-run tells what a repair would do: say which with -r");
    checkCacheMode(options.cache, "source cache");
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("check", "Expecting one image file name");
    await using graph = session.createGraph();
    await using image = await openImage(
      graph,
      {
        name,
        format,
        imageOptions,
        forceShare,
        writable: repair !== "none" && !dryRun,
        forCheck: true,
        alone: session.program.kind === "coblock",
      },
      session,
    );
    const first = await check(image, { repair, dryRun, explain }, session);
    const fixed = { corruptionsFixed: first.corruptionsFixed, leaksFixed: first.leaksFixed };
    const isFixed = fixed.corruptionsFixed + fixed.leaksFixed > 0;
    if (isFixed && !json && !quiet) session.output.print(describeRepair(fixed, dryRun));
    const again = isFixed && !dryRun ? await check(image, { repair: "none", dryRun, explain }, session) : first;
    const result: CheckResult = { ...again, ...fixed };
    const isSilent = quiet && session.program.kind !== "coblock";
    if (json && !isSilent)
      session.output.line(formatJson(resultJson(session.program.kind === "coblock" ? image.fileName : name, image.driver, result)));
    else if (!quiet) session.output.print(describeResult(result));
    return exitCode(dryRun ? asItIs(first) : result);
  },
});

/** What a dry run would have fixed is still there. */
function asItIs(result: CheckResult): CheckResult {
  return { ...result, corruptions: result.corruptions + result.corruptionsFixed, leaks: result.leaks + result.leaksFixed };
}

function exitCode({ errors, corruptions, leaks }: CheckResult): number {
  if (errors > 0) return 1;
  if (corruptions > 0) return 2;
  return leaks > 0 ? 3 : 0;
}

/** Findings go to standard error as they are found. */
async function check(
  image: BlockNode,
  { explain, ...options }: CheckOptions & { readonly explain: boolean },
  session: Session,
): Promise<CheckResult> {
  const result = await image.check({ ...options, signal: session.signal }, (finding) => {
    session.note(finding.what);
    if (explain) for (const line of explanation(finding)) session.note(line);
  });
  if (result === undefined) throw new CommandFailure("This image format does not support checks", EXIT_UNSUPPORTED);
  return result;
}

function explanation({ meaning, repair, risk }: Finding): readonly string[] {
  return [`    what it means: ${meaning}`, `    repair: ${repair}`, `    risk: ${risk}`];
}

function describeRepair({ corruptionsFixed, leaksFixed }: Pick<CheckResult, "corruptionsFixed" | "leaksFixed">, dryRun: boolean): string {
  const counts = `    ${leaksFixed} leaked clusters\n    ${corruptionsFixed} corruptions\n`;
  if (dryRun) return `The following inconsistencies would be repaired:\n\n${counts}\nAfterwards:\n`;
  return `The following inconsistencies were found and repaired:\n\n${counts}\nDouble checking the fixed image now...\n`;
}

function describeResult({ errors, corruptions, leaks, clusters, imageEndOffset }: CheckResult): string {
  let text = "";
  if (corruptions > 0)
    text += `\n${corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n`;
  if (leaks > 0) text += `\n${leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n`;
  if (errors > 0) text += `\n${errors} internal errors have occurred during the check.\n`;
  if (text === "") text = "No errors were found on the image.\n";
  if (clusters !== undefined && clusters.total > 0 && clusters.allocated > 0) {
    const { total, allocated, fragmented, compressed } = clusters;
    const percent = (part: number, whole: number): string => formatFixed((part * 100) / whole, 2);
    const shares = `${percent(fragmented, allocated)}% fragmented, ${percent(compressed, allocated)}% compressed clusters`;
    text += `${allocated}/${total} = ${percent(allocated, total)}% allocated, ${shares}\n`;
  }
  return imageEndOffset === undefined || imageEndOffset === 0 ? text : `${text}Image end offset: ${imageEndOffset}\n`;
}

/** In the order of qemu-img, which leaves out what is zero. */
function resultJson(filename: string, format: string, result: CheckResult): Readonly<Record<string, string | number | undefined>> {
  const { clusters } = result;
  const present = (count: number | undefined): number | undefined => (count === 0 ? undefined : count);
  return {
    "image-end-offset": present(result.imageEndOffset),
    "compressed-clusters": present(clusters?.compressed),
    "total-clusters": present(clusters?.total),
    corruptions: present(result.corruptions),
    "corruptions-fixed": present(result.corruptionsFixed),
    "check-errors": result.errors,
    leaks: present(result.leaks),
    "leaks-fixed": present(result.leaksFixed),
    "allocated-clusters": present(clusters?.allocated),
    filename,
    format,
    "fragmented-clusters": present(clusters?.fragmented),
  };
}
