/** What the reader of a stream sees: whether it is a person at a terminal, how wide it is, and whether it has colours. */

import type { Host, TextStream } from "../host.ts";

const DEFAULT_COLUMNS = 80;
/** Less than that is not laid out for. */
const MIN_COLUMNS = 20;

type Environment = NonNullable<Host["env"]>;

export class Screen {
  /** A person looks on: what is printed may be laid out for the eye. */
  readonly isTerminal: boolean;
  readonly hasColours: boolean;
  /** Characters beyond ASCII are shown. */
  readonly hasUnicode: boolean;
  readonly #stream: TextStream;

  /** `forPeople`: false for programs whose output is another program's, to the letter. */
  constructor(stream: TextStream, env: Environment, forPeople: boolean) {
    this.#stream = stream;
    this.isTerminal = forPeople && stream.isTTY === true;
    this.hasColours = forPeople && wantsColours(stream, env);
    this.hasUnicode = hasUnicode(env);
  }

  /** Characters in a line, now: terminals change their size. */
  get columns(): number {
    const { columns } = this.#stream;
    return Math.max(MIN_COLUMNS, columns === undefined || columns === 0 ? DEFAULT_COLUMNS : columns);
  }

  /** In one of the 256 colours. */
  colour(text: string, colour: number): string {
    return this.#styled(text, `38;5;${colour}`);
  }

  bold(text: string): string {
    return this.#styled(text, "1");
  }

  dim(text: string): string {
    return this.#styled(text, "2");
  }

  red(text: string): string {
    return this.#styled(text, "1;31");
  }

  yellow(text: string): string {
    return this.#styled(text, "1;33");
  }

  #styled(text: string, code: string): string {
    return this.hasColours && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** A refusal counts more than a wish, and both more than what the stream is (no-color.org, force-color.org, bixense.com/clicolors). */
function wantsColours(stream: TextStream, env: Environment): boolean {
  if (isSet(env["NO_COLOR"])) return false;
  for (const name of ["FORCE_COLOR", "CLICOLOR_FORCE"]) if (isSet(env[name])) return !isOff(env[name]);
  return stream.isTTY === true && env["TERM"] !== "dumb" && !isOff(env["CLICOLOR"]);
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}

function isOff(value: string | undefined): boolean {
  return value === "0" || value === "false";
}

/** As the locale says; where nothing does, terminals of today show it. */
function hasUnicode(env: Environment): boolean {
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find(isSet);
  if (env["TERM"] === "dumb" || env["TERM"] === "linux") return false;
  return locale === undefined || /utf-?8/i.test(locale);
}
