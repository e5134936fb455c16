/** A page of the manual: from it come `--help`, the man page and the completion of a command. */

/** What a shell offers in the place of an argument. */
export type Completion = "file" | "folder" | "format" | "creation options" | "amend options" | readonly string[];

/** An option's argument and what the option does. */
export interface ArgumentWords {
  readonly argument: string;
  readonly completes?: Completion;
  readonly help: string;
}

export interface ManualPage {
  /** What follows the options; several where there are several ways to call it. */
  readonly operands: readonly string[];
  /** What a shell offers for them; default: files. */
  readonly operandsComplete?: Completion;
  /** Paragraphs. */
  readonly description: readonly string[];
  /** By the names of the command's table; for a flag the sentence alone. */
  readonly options: Readonly<Record<string, string | ArgumentWords>>;
  readonly exitCodes?: readonly (readonly [code: number, meaning: string])[];
  readonly examples: readonly Example[];
}

/** A line to type, and what it is for. */
export interface Example {
  readonly line: string;
  readonly why: string;
}
