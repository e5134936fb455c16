/** Which program is being run: the same code answers to several names. */

export interface Program {
  readonly kind: "coblock" | "qemu-img" | "qemu-io" | "qemu-nbd";
  /** Begins its messages: what it was called as. */
  readonly name: string;
}

/** The command by its own name. */
export const COBLOCK: Program = { kind: "coblock", name: "coblock" };

/** First words of `coblock` that make it another program in all things. */
const WORDS: Readonly<Record<string, Program>> = {
  img: { kind: "qemu-img", name: "qemu-img" },
  io: { kind: "qemu-io", name: "qemu-io" },
  nbd: { kind: "qemu-nbd", name: "qemu-nbd" },
};
/** What follows `coblock nbd` where it is a command of ours, and not qemu-nbd. */
const FRIENDLY_NBD_WORDS = ["serve", "list", "", "-h", "--help"];

/** `coblock img info x` is `qemu-img info x`. */
export function programOf(program: Program, argv: readonly string[]): { readonly program: Program; readonly words: readonly string[] } {
  const [first = "", ...others] = argv;
  if (first === "nbd" && FRIENDLY_NBD_WORDS.includes(others[0] ?? "")) return { program, words: argv };
  const named = program.kind === "coblock" && Object.hasOwn(WORDS, first) ? WORDS[first] : undefined;
  return named === undefined ? { program, words: argv } : { program: named, words: others };
}
