/** Short and long options as getopt takes them: options may follow operands, `-q -P 1`, `-qP1`, `--cmd=x`, `--cm x`, and `--` ends them. */

export interface FoundOption {
  /** The letter, or the long name. */
  readonly name: string;
  /** "" for an option that takes none. */
  readonly argument: string;
}

export interface ParsedWords {
  readonly options: readonly FoundOption[];
  readonly operands: readonly string[];
  /** The words from there on were not looked at. */
  readonly problem?: OptionProblem;
}

/** An option that is not there, stands for several, or is given with an argument or without one against its nature. */
export interface OptionProblem {
  readonly kind: "unknown" | "missing argument";
  /** As getopt words it, without the name of the program. */
  readonly message: string;
  /** What stands before the place where getopt goes on, operands put behind options: within a group of letters that is another word. */
  readonly word: string;
}

/** Long options: the letter that they stand for, or a name of their own; and whether an argument follows, "optional": in the same word. */
export type LongOptions = Readonly<Record<string, { readonly name: string; readonly takesArgument: boolean | "optional" }>>;

export interface OptionLetters {
  /** Each one that takes an argument has a colon behind it. */
  readonly letters: string;
  readonly long?: LongOptions;
  /** The first operand ends the options: POSIXLY_CORRECT. */
  readonly inOrder?: boolean;
  /** Stands before the first word. */
  readonly program?: string;
}

export function parseWords(words: readonly string[], { letters, long = {}, inOrder = false, program = "" }: OptionLetters): ParsedWords {
  const options: FoundOption[] = [];
  const operands: string[] = [];
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? "";
    const isOperand = !word.startsWith("-") || word === "-";
    if (word === "--" || (isOperand && inOrder)) return { options, operands: [...operands, ...words.slice(word === "--" ? at + 1 : at)] };
    if (isOperand) {
      operands.push(word);
      at++;
      continue;
    }
    const isLong = word.startsWith("--") && Object.keys(long).length > 0;
    const taken = isLong ? takeLong(word, words[at + 1], long) : takeLetters(word, words[at + 1], letters);
    options.push(...taken.options);
    if (taken.problem !== undefined) {
      const { isInside, ...problem } = taken.problem;
      return { options, operands, problem: { ...problem, word: isInside ? (operands.at(-1) ?? words[at - 1] ?? program) : word } };
    }
    at += taken.usesNext ? 2 : 1;
  }
  return { options, operands };
}

interface Taken {
  readonly options: readonly FoundOption[];
  /** The next word is the argument. */
  readonly usesNext?: boolean;
  /** `isInside`: more letters follow in the same word. */
  readonly problem?: Omit<OptionProblem, "word"> & { readonly isInside: boolean };
}

function takeLetters(word: string, next: string | undefined, letters: string): Taken {
  const options: FoundOption[] = [];
  const characters = Array.from(word.slice(1));
  for (const [position, name] of characters.entries()) {
    const index = name === ":" ? -1 : letters.indexOf(name);
    const isInside = position + 1 < characters.length;
    if (index < 0) return { options, problem: { kind: "unknown", message: `invalid option -- '${name}'`, isInside } };
    if (letters[index + 1] !== ":") {
      options.push({ name, argument: "" });
      continue;
    }
    const argument = isInside ? characters.slice(position + 1).join("") : next;
    if (argument === undefined) return { options, problem: lacking(`option requires an argument -- '${name}'`) };
    options.push({ name, argument });
    return { options, usesNext: !isInside };
  }
  return { options };
}

function takeLong(word: string, next: string | undefined, long: LongOptions): Taken {
  const [, typed = "", given] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const candidates = Object.entries(long).filter(([name]) => name.startsWith(typed));
  const [found, ...others] = candidates.some(([name]) => name === typed) ? candidates.filter(([name]) => name === typed) : candidates;
  if (found === undefined) return unknown(`unrecognized option '--${typed}'`);
  const [full, { name, takesArgument }] = found;
  if (others.some(([, other]) => other.name !== name))
    return unknown(`option '${word}' is ambiguous; possibilities: ${candidates.map(([candidate]) => `'--${candidate}'`).join(" ")}`);
  if (takesArgument === "optional") return { options: [{ name, argument: given ?? "" }] };
  if (!takesArgument && given !== undefined) return unknown(`option '--${full}' doesn't allow an argument`);
  if (!takesArgument) return { options: [{ name, argument: "" }] };
  const argument = given ?? next;
  if (argument === undefined) return { options: [], problem: lacking(`option '--${full}' requires an argument`) };
  return { options: [{ name, argument }], usesNext: given === undefined };
}

function unknown(message: string): Taken {
  return { options: [], problem: { kind: "unknown", message, isInside: false } };
}

function lacking(message: string): NonNullable<Taken["problem"]> {
  return { kind: "missing argument", message, isInside: false };
}
