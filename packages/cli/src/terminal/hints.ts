/** What to try next, for a person at a terminal whose command has failed. */

import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BlockError } from "@coblock/core";
import { COMMANDS } from "../command-table.ts";
import type { OptionTable } from "../command-line.ts";
import { FORMATS } from "../drivers.ts";
import { UsageFailure } from "../failure.ts";
import { holdersOf } from "./file-holders.ts";
import { nearestWord } from "./nearest-word.ts";

const GOES_ON = "the image reads as before; the same command does the rest";
const LEAKS = "coblock check -r leaks gives back the space that was taken in vain";
/** By the commands that change images. */
const LEFT_BEHIND: Readonly<Record<string, string>> = {
  commit: GOES_ON,
  rebase: GOES_ON,
  resize: "the image has the size that it had",
  snapshot: `what the image holds is as it was; ${LEAKS}`,
  bitmap: `what the image holds is as it was; ${LEAKS}`,
};

/** One line each; none where nothing is known to help. `argv` are the words of the command line. */
export async function hintsFor(error: unknown, argv: readonly string[]): Promise<readonly string[]> {
  const [name = ""] = argv;
  const entry = COMMANDS.get(name);
  const options = entry === undefined ? {} : (await entry.load()).options;
  const hints = [...wordHints(error, name, options), ...nameHints(error, argv), ...leftHints(error, name)];
  const cause = blockErrorOf(error);
  if (cause !== undefined) hints.push(...imageHints(cause, argv, options));
  return hints;
}

function wordHints(error: unknown, command: string, options: OptionTable): readonly string[] {
  const message = error instanceof Error ? error.message : "";
  const format = /^Unknown (?:file format|driver) '(.*)'$/s.exec(message)?.[1];
  const created = /^Invalid parameter '.*': format '(.*)' does not create images with it$/s.exec(message)?.[1];
  if (created !== undefined) return [`coblock create -f ${created} -o help lists what it creates with`];
  if (format !== undefined) return [...meant(nearestWord(format, FORMATS)), `formats: ${FORMATS.join(" ")}`];
  if (!(error instanceof UsageFailure) && !message.startsWith(`${command}: `)) return [];
  const unknown = /^Command not found: (.*)$/s.exec(message)?.[1];
  if (unknown !== undefined) return [...meant(nearestWord(unknown, COMMANDS.keys())), "coblock --help lists the commands"];
  if (!COMMANDS.has(command)) return ["coblock --help lists the commands"];
  const option = /unrecognized option '--([^'=]*)/.exec(message)?.[1];
  const known = Object.values(options).flatMap(({ long }) => long ?? []);
  const nearest = option === undefined ? undefined : nearestWord(option, known);
  return [...meant(nearest === undefined ? undefined : `--${nearest}`), `coblock ${command} --help tells all of it`];
}

/** Words that are names of files, and were taken for something else. */
function nameHints(error: unknown, argv: readonly string[]): readonly string[] {
  const message = error instanceof Error ? error.message : "";
  const protocol = /Unknown protocol '(.*)'$/s.exec(message)?.[1];
  const name = protocol === undefined ? undefined : argv.find((word) => word.startsWith(`${protocol}:`));
  if (name !== undefined) return [`a file whose name has a colon: ./${name}`];
  const dashed = /unrecognized option|invalid option/.test(message)
    ? argv.find((word) => word.startsWith("-") && existsSync(word))
    : undefined;
  return dashed === undefined ? [] : [`a file whose name begins with a dash: ./${dashed}`];
}

/** What an image is like when the command has ended before its end. */
function leftHints(error: unknown, command: string): readonly string[] {
  const message = error instanceof Error ? error.message : "";
  if (!message.startsWith("interrupted by ") && blockErrorOf(error)?.code !== "NO_SPACE") return [];
  const what = LEFT_BEHIND[command];
  return what === undefined ? [] : [what];
}

function meant(word: string | undefined): readonly string[] {
  return word === undefined ? [] : [`did you mean ${word}?`];
}

function imageHints(error: BlockError, argv: readonly string[], options: OptionTable): readonly string[] {
  const { code, role, message } = error;
  const saysFormat = argv.some((word) => /^(?:-f|--(?:source-)?format)/.test(word));
  if (code === "LOCKED") return lockHints(message, options);
  const isMissingFile = code === "NOT_FOUND" && error.errno !== undefined;
  // A file that nobody typed is one that an image names.
  if (isMissingFile && (role === "backing" || !argv.some((word) => message.includes(`'${word}'`))))
    return [
      "coblock info IMAGE tells which backing file it names, without opening that",
      "if the backing file was moved: coblock rebase -u -b NEW_PLACE -F FORMAT IMAGE",
    ];
  if (isMissingFile) return missingFileHints(message);
  if (/there is no snapshot '/.test(message)) return ["coblock snapshot -l IMAGE lists them"];
  if (/^Dirty bitmap '.*' not found$|: Bitmap '.*' is not found$/s.test(message)) return ["coblock info IMAGE lists them"];
  if (/: Requested export '.*' not available/s.test(message)) return ["coblock nbd list URI tells which exports the server has"];
  if (/key-secret' is required/.test(message))
    return ["--object secret,id=sec0,file=PASSPHRASE_FILE --image-opts driver=qcow2,file.filename=IMAGE,encrypt.key-secret=sec0"];
  if (saysFormat && /magic/.test(message))
    return ["without -f the format is told from the first bytes; coblock info IMAGE says what it is"];
  return code === "CORRUPT_IMAGE" ? ["coblock check --explain IMAGE tells what is damaged, and what a repair would do"] : [];
}

function lockHints(message: string, options: OptionTable): readonly string[] {
  const file = /\[(.*)\]\?$/s.exec(message)?.[1];
  const holders = file === undefined ? [] : holdersOf(file);
  const open = holders.map(({ pid, command }) => `open in ${command}, process ${pid}`);
  const share =
    "forceShare" in options ? ["-U opens it all the same, to be read: what another process is writing may be read half-written"] : [];
  return [...open, ...share];
}

/** A name in the same folder that is nearly the same. */
function missingFileHints(message: string): readonly string[] {
  const path = /'(.*)'/s.exec(message)?.[1];
  if (path === undefined) return [];
  let names: readonly string[];
  try {
    names = readdirSync(dirname(path));
  } catch {
    // A folder that is not there has no names to offer.
    return [];
  }
  const nearest = nearestWord(basename(path), names);
  return meant(nearest === undefined ? undefined : join(dirname(path), nearest));
}

/** The failure of the block layer that an error is, or stands for. */
function blockErrorOf(error: unknown): BlockError | undefined {
  let found: BlockError | undefined;
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof BlockError) found ??= cause;
  return found;
}
