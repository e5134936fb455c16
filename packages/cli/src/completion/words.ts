/** What can be completed: commands, their options and operands, formats and the options of new images; from the tables that `--help` prints. */

import type { BlockGraph, CreateOption } from "@coblock/core";
import { COMMANDS } from "../command-table.ts";
import { creationOptionsOf } from "../creation-options.ts";
import { FORMATS } from "../drivers.ts";
import { optionEntries } from "../manual/option-entries.ts";
import type { Completion } from "../manual/page.ts";

export interface CompletionWords {
  readonly commands: readonly CompletedCommand[];
  readonly formats: readonly string[];
  /** Options of new images, by format; and those that can be changed. */
  readonly creation: FormatOptions;
  readonly amend: FormatOptions;
}

export type FormatOptions = ReadonlyMap<string, readonly CreateOption[]>;

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  readonly operands: Completion;
}

export interface CompletedOption {
  readonly short: string | undefined;
  readonly long: string | undefined;
  /** "optional": only behind `=`. */
  readonly takes: "nothing" | "value" | "optional";
  readonly isRepeated: boolean;
  readonly argument: string;
  /** Absent where nothing can be offered for the value. */
  readonly completes: Completion | undefined;
  readonly help: string;
}

/** Loads every format. */
export async function completionWords(graph: BlockGraph): Promise<CompletionWords> {
  const commands: CompletedCommand[] = [];
  for (const [name, entry] of COMMANDS) {
    const command = await entry.load();
    const page = await command.manual();
    const options = optionEntries(command.options, page).map(({ spec, argument = "", completes, help }): CompletedOption => ({
      short: spec.short,
      long: spec.long,
      takes: spec.kind === "flag" ? "nothing" : spec.kind === "optional" ? "optional" : "value",
      isRepeated: spec.kind === "values",
      argument,
      completes,
      help,
    }));
    commands.push({ name, summary: entry.summary, options, operands: page.operandsComplete ?? "file" });
  }
  const creation = new Map<string, readonly CreateOption[]>();
  const amend = new Map<string, readonly CreateOption[]>();
  for (const format of FORMATS) {
    const driver = await graph.driver(format);
    if (driver.create !== undefined) creation.set(format, creationOptionsOf(driver));
    if (driver.amendOptions !== undefined) amend.set(format, driver.amendOptions);
  }
  return { commands, formats: FORMATS, creation, amend };
}

/** What may stand behind `name=`. */
export function choicesOf({ type, choices = [] }: CreateOption): readonly string[] {
  return type === "flag" ? ["on", "off"] : choices;
}
