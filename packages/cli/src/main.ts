/** The way into the command: finds the command's code, runs it, and turns every failure into one line and an exit code. */

import { BlockError } from "@coblock/core";
import { usageFailure } from "./command-line.ts";
import { COMMANDS } from "./command-table.ts";
import { CommandFailure, firstFailure, UsageFailure } from "./failure.ts";
import { parseWords, type FoundOption, type OptionLetters } from "./getopt.ts";
import type { Host } from "./host.ts";
import { qemuWords } from "./qemu-words.ts";
import { COBLOCK, type Program, programOf } from "./program.ts";
import { Session } from "./session.ts";

export { processHost } from "./process-host.ts";

/** What may stand before the command. */
const GLOBAL_OPTIONS: OptionLetters = {
  letters: "hVT:",
  long: {
    help: { name: "h", takesArgument: false },
    version: { name: "V", takesArgument: false },
    trace: { name: "T", takesArgument: true },
  },
  inOrder: true,
};

/** Answers the exit code; never throws. `argv` is without node and script. */
export async function main(argv: readonly string[], host: Host, calledAs: Program = COBLOCK): Promise<number> {
  const { program, words } = programOf(calledAs, argv);
  using session = new Session(host, program);
  const exitCode = await run(words, session).catch(async (error: unknown) => reportFailure(error, words, session));
  return await session.output.finish().then(
    () => exitCode,
    async (failure: unknown) => (exitCode === 0 ? reportFailure(failure, words, session) : exitCode),
  );
}

async function run(argv: readonly string[], session: Session): Promise<number> {
  refuseUnreadableWords(argv);
  if (session.program.kind === "qemu-io") return (await import("./io/program.ts")).runIo(argv, session);
  if (session.program.kind === "qemu-nbd") return (await import("./nbd/program.ts")).runNbd(argv, session);
  const { options, operands, problem } = parseWords(argv, GLOBAL_OPTIONS);
  for (const option of options) if ((await runGlobalOption(option, session)) === "end") return 0;
  if (problem !== undefined) throw usageFailure(undefined, problem);
  const [name, ...words] = operands;
  // With options alone qemu-img has nothing to say.
  if (name === undefined && argv.length > 0 && session.program.kind !== "coblock") return 0;
  if (name === undefined) throw new UsageFailure(undefined, "Not enough arguments (see coblock --help)", "Not enough arguments");
  const entry = COMMANDS.get(name);
  if (entry !== undefined && (session.program.kind === "coblock" || entry.isOwn !== true)) {
    const command = await entry.load();
    return command.run(words, session);
  }
  throw new UsageFailure(undefined, `Command not found: ${name}`);
}

/** Node puts U+FFFD for bytes that are not UTF-8: the file that was meant could not be found, and a new one would get another name. */
function refuseUnreadableWords(argv: readonly string[]): void {
  const unreadable = argv.find((word) => word.includes("\ufffd"));
  if (unreadable !== undefined)
    throw new CommandFailure(`'${unreadable}' has bytes that are not UTF-8, or the character U+FFFD, which stands for them`);
}

async function runGlobalOption({ name, argument }: FoundOption, session: Session): Promise<"end" | "go on"> {
  if (name === "T") return (await (await import("./trace-words.ts")).readTraceWords([argument], session)) === "list" ? "end" : "go on";
  const { helpText, versionText } = await import("./help.ts");
  session.output.print(name === "h" ? helpText(session.program, session.screen) : versionText(session.program));
  return "end";
}

async function reportFailure(thrown: unknown, words: readonly string[], session: Session): Promise<number> {
  const error = firstFailure(thrown);
  session.output.flush();
  for (const message of messagesOf(error, session)) if (message !== "") session.complain(message);
  if (error instanceof UsageFailure && session.program.kind !== "coblock")
    session.note(`Try '${session.program.kind} --help' for more information`);
  if (session.errorScreen.isTerminal) {
    const { hintsFor } = await import("./terminal/hints.ts");
    for (const hint of await hintsFor(error, words)) session.hint(hint);
  }
  if (session.isDebugging && error instanceof Error) session.trace(error);
  return error instanceof CommandFailure ? error.exitCode : 1;
}

function messagesOf(error: unknown, session: Session): readonly string[] {
  const asQemu = session.program.kind !== "coblock";
  if (error instanceof CommandFailure) return asQemu ? error.words : [error.message];
  if (error instanceof BlockError) return [asQemu ? qemuWords(error) : error.message];
  return [`internal error: ${error instanceof Error ? error.message : String(error)}`];
}
