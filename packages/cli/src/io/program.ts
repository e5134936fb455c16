/** The program `qemu-io`: its options, and where its commands come from. */

import { CommandFailure } from "../failure.ts";
import { PLAIN_FLAGS, type ImageFlags } from "../flagged-image.ts";
import { parseWords, type FoundOption, type LongOptions } from "../getopt.ts";
import { versionText } from "../help.ts";
import type { Session } from "../session.ts";
import { readTraceWords } from "../trace-words.ts";
import { IoFailure } from "./failure.ts";
import { cacheFlags, checkAioMode, discardOf } from "./flags.ts";

import { IO_HELP } from "./help.ts";
import { promptedLines } from "./prompt.ts";
import { Shell } from "./shell.ts";

const LETTERS = "hVc:d:f:rsnCmki:t:T:U";

const LONG: LongOptions = {
  help: { name: "h", takesArgument: false },
  version: { name: "V", takesArgument: false },
  cmd: { name: "c", takesArgument: true },
  format: { name: "f", takesArgument: true },
  "read-only": { name: "r", takesArgument: false },
  snapshot: { name: "s", takesArgument: false },
  nocache: { name: "n", takesArgument: false },
  "copy-on-read": { name: "C", takesArgument: false },
  misalign: { name: "m", takesArgument: false },
  "native-aio": { name: "k", takesArgument: false },
  aio: { name: "i", takesArgument: true },
  cache: { name: "t", takesArgument: true },
  discard: { name: "d", takesArgument: true },
  trace: { name: "T", takesArgument: true },
  "force-share": { name: "U", takesArgument: false },
  object: { name: "object", takesArgument: true },
  "image-opts": { name: "image-opts", takesArgument: false },
};

/** What the words before the commands say. */
interface Invocation {
  readonly commands: readonly string[];
  readonly format: string | undefined;
  readonly imageOptions: boolean;
  readonly objects: readonly string[];
  readonly traceEvents: readonly string[];
  readonly flags: ImageFlags;
}

/** Answers the exit code: 1 where a command failed. */
export async function runIo(argv: readonly string[], session: Session): Promise<number> {
  const { options, operands, problem } = parseWords(argv, { letters: LETTERS, long: LONG, inOrder: session.endsOptionsEarly });
  const asked = options.find(({ name }) => name === "h" || name === "V");
  if (asked !== undefined) {
    session.output.print(asked.name === "h" ? IO_HELP : versionText(session.program));
    return 0;
  }
  const invocation = invocationOf(options);
  if (problem !== undefined || operands.length > 1) {
    if (problem !== undefined) session.complain(problem.message);
    session.output.print(IO_HELP);
    return 1;
  }
  const { format, imageOptions, flags } = invocation;
  if (imageOptions && format !== undefined) throw new CommandFailure("--image-opts and -f are mutually exclusive");
  if ((await readTraceWords(invocation.traceEvents, session)) === "list") return 0;
  await session.makeObjects(invocation.objects);
  await using shell = new Shell(session);
  const [name] = operands;
  if (name !== undefined) {
    try {
      await shell.open(imageOptions ? { filename: undefined, options: name, flags } : { filename: name, format, flags });
    } catch (error) {
      throw error instanceof IoFailure ? new CommandFailure(error.message, 1, { cause: error }) : error;
    }
  }
  return (await runAll(shell, invocation.commands)) ? 0 : 1;
}

async function runAll(shell: Shell, commands: readonly string[]): Promise<boolean> {
  let succeeded = true;
  for await (const line of commands.length > 0 ? commands : promptedLines(shell.session)) {
    const outcome = await shell.run(line);
    if (outcome === "quit") break;
    if (outcome === "failed") succeeded = false;
  }
  return succeeded;
}

function invocationOf(options: readonly FoundOption[]): Invocation {
  let flags = PLAIN_FLAGS;
  const values = (wanted: string): string[] => options.filter(({ name }) => name === wanted).map(({ argument }) => argument);
  const has = (wanted: string): boolean => options.some(({ name }) => name === wanted);
  for (const { name, argument } of options) {
    if (name === "t") flags = { ...flags, ...cacheFlags(argument) };
    if (name === "d") flags = { ...flags, discard: discardOf(argument) };
    if (name === "i") checkAioMode(argument);
  }
  return {
    commands: values("c"),
    format: values("f").at(-1),
    imageOptions: has("image-opts"),
    objects: values("object"),
    traceEvents: values("T"),
    flags: { ...flags, readOnly: has("r"), snapshot: has("s"), copyOnRead: has("C"), forceShare: has("U") },
  };
}
