/** The options of a command as its manual lists them: how each is typed, and its words. */

import { SHARED_OPTIONS, type OptionSpec, type OptionTable } from "../command-line.ts";
import type { ArgumentWords, Completion, ManualPage } from "./page.ts";

export interface OptionEntry {
  readonly spec: OptionSpec;
  /** Absent for flags. */
  readonly argument: string | undefined;
  readonly completes: Completion | undefined;
  readonly help: string;
}

const SHARED_WORDS: ManualPage["options"] = {
  object: {
    argument: "object",
    completes: ["secret,id=", "tls-creds-x509,id=", "tls-creds-psk,id=", "throttle-group,id="],
    help: "make an object that options name: secret,id=sec0,file=passphrase",
  },
  help: "print this",
};

/** In the order of the table, those that all commands have at the end. */
export function optionEntries(table: OptionTable, page: ManualPage): readonly OptionEntry[] {
  return [...entriesOf(table, page.options), ...entriesOf(SHARED_OPTIONS, SHARED_WORDS)];
}

function entriesOf(table: OptionTable, words: ManualPage["options"]): readonly OptionEntry[] {
  return Object.entries(table).map(([name, spec]) => {
    const said = words[name] ?? "";
    const { argument, completes, help }: Partial<ArgumentWords> & { readonly help: string } =
      typeof said === "string" ? { help: said } : said;
    return { spec, argument, completes, help };
  });
}

/** `-f, --format=fmt`, as it is typed. */
export function optionLabel({ spec, argument }: OptionEntry): string {
  const { short, long, kind } = spec;
  const names = [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])].join(", ");
  if (argument === undefined) return names;
  if (kind === "optional") return `${names}[=${argument}]`;
  return long === undefined ? `${names} ${argument}` : `${names}=${argument}`;
}
