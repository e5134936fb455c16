/** The way into the command: finds the command's code, runs it, and turns every failure into one line and an exit code. */

import { BlockError } from "@coblock/core";
import { COMMANDS, NOT_THERE_YET } from "./command-table.ts";
import { CommandFailure, firstFailure } from "./failure.ts";
import type { Host } from "./host.ts";
import { Session } from "./session.ts";

/** Answers the exit code; never throws. `argv` is without node and script. */
export async function main(argv: readonly string[], host: Host): Promise<number> {
  using session = new Session(host);
  const exitCode = await run(argv, session).catch((error: unknown) => reportFailure(error, session));
  return await session.output.finish().then(
    () => exitCode,
    (failure: unknown) => (exitCode === 0 ? reportFailure(failure, session) : exitCode),
  );
}

async function run(argv: readonly string[], session: Session): Promise<number> {
  const [name, ...words] = argv;
  if (name === undefined) throw new CommandFailure("Not enough arguments (see coblock --help)");
  if (name.startsWith("-")) return runGlobalOption(name, session);
  const entry = COMMANDS.get(name);
  if (entry !== undefined) {
    const command = await entry.load();
    return command.run(words, session);
  }
  if (NOT_THERE_YET.includes(name)) throw new CommandFailure(`command ${name} is not there yet`);
  throw new CommandFailure(`Command not found: ${name}`);
}

async function runGlobalOption(option: string, session: Session): Promise<number> {
  const { helpText, versionText } = await import("./help.ts");
  if (option === "-h" || option === "--help") session.output.print(helpText());
  else if (option === "-V" || option === "--version") session.output.print(versionText());
  else if (/^(?:-T.*|--trace(?:=.*)?)$/s.test(option)) throw new CommandFailure("option --trace is not there yet");
  else throw new CommandFailure(`unrecognized option '${option}'`);
  return 0;
}

function reportFailure(thrown: unknown, session: Session): number {
  const error = firstFailure(thrown);
  const told = error instanceof CommandFailure || error instanceof BlockError;
  const message = error instanceof Error ? error.message : String(error);
  session.output.flush();
  if (message !== "") session.note(`coblock: ${told ? "" : "internal error: "}${message}`);
  if (session.isDebugging && error instanceof Error) session.trace(error);
  return error instanceof CommandFailure ? error.exitCode : 1;
}
