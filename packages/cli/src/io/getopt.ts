/** Short and long options as getopt takes them: options may follow operands, `-q -P 1`, `-qP1`, `--cmd=x`, and `--` ends them. */

export interface FoundOption {
  /** The letter, or the long name. */
  readonly name: string;
  /** "" for an option that takes none. */
  readonly argument: string;
}

export interface ParsedWords {
  readonly options: readonly FoundOption[];
  readonly operands: readonly string[];
  /** As getopt words it, without the name of the program: options from there on were not looked at. */
  readonly problem?: string;
}

/** Long options: the letter that they stand for, or a name of their own; and whether an argument follows. */
export type LongOptions = Readonly<Record<string, { readonly name: string; readonly takesArgument: boolean }>>;

/** `letters`: each one that takes an argument has a colon behind it. */
export function parseWords(words: readonly string[], letters: string, long: LongOptions = {}): ParsedWords {
  const options: FoundOption[] = [];
  const operands: string[] = [];
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      operands.push(...rest);
      break;
    }
    const isLong = word.startsWith("--") && Object.keys(long).length > 0;
    if (!word.startsWith("-") || word === "-") operands.push(word);
    else {
      const problem = isLong ? takeLong(word, rest, long, options) : takeLetters(word, rest, letters, options);
      if (problem !== undefined) return { options, operands, problem };
    }
  }
  return { options, operands };
}

function takeLetters(word: string, rest: string[], letters: string, options: FoundOption[]): string | undefined {
  for (let at = 1; at < word.length; at++) {
    const name = word[at] ?? "";
    const index = name === ":" ? -1 : letters.indexOf(name);
    if (index < 0) return `invalid option -- '${name}'`;
    if (letters[index + 1] !== ":") {
      options.push({ name, argument: "" });
      continue;
    }
    const argument = at + 1 < word.length ? word.slice(at + 1) : rest.shift();
    if (argument === undefined) return `option requires an argument -- '${name}'`;
    options.push({ name, argument });
    return undefined;
  }
  return undefined;
}

function takeLong(word: string, rest: string[], long: LongOptions, options: FoundOption[]): string | undefined {
  const [, typed = "", given] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const candidates = Object.keys(long).filter((name) => name.startsWith(typed));
  const full = candidates.includes(typed) ? typed : candidates.length === 1 ? candidates[0] : undefined;
  if (full === undefined) {
    if (candidates.length === 0) return `unrecognized option '--${typed}'`;
    return `option '${word}' is ambiguous; possibilities: ${candidates.map((name) => `'--${name}'`).join(" ")}`;
  }
  const entry = long[full];
  if (entry?.takesArgument !== true) {
    if (given !== undefined) return `option '--${full}' doesn't allow an argument`;
    options.push({ name: entry?.name ?? full, argument: "" });
    return undefined;
  }
  const argument = given ?? rest.shift();
  if (argument === undefined) return `option '--${full}' requires an argument`;
  options.push({ name: entry.name, argument });
  return undefined;
}
