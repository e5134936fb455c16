import { expect, it } from "vitest";
import { parseWords } from "./getopt.ts";

const LONG = {
  cmd: { name: "c", takesArgument: true },
  "read-only": { name: "r", takesArgument: false },
  reads: { name: "x", takesArgument: false },
};
const names = (line: string): string => {
  const { options, operands, problem } = parseWords(line.split(" "), "c:rq", LONG);
  return `${options.map(({ name, argument }) => name + argument).join(" ")} | ${operands.join(" ")}${problem === undefined ? "" : ` | ${problem}`}`;
};

it.each([
  ["-q a -r b", "q r | a b"],
  ["-qrcx a", "q r cx | a"],
  ["-c x -- -q", "cx | -q"],
  ["- a", " | - a"],
  ["--cmd=x --cmd y", "cx cy | "],
  ["--cm x --read-only", "cx r | "],
  ["-z", " |  | invalid option -- 'z'"],
  ["-:", " |  | invalid option -- ':'"],
  ["-c", " |  | option requires an argument -- 'c'"],
  ["--cmd", " |  | option '--cmd' requires an argument"],
  ["--nonsense=1", " |  | unrecognized option '--nonsense'"],
  ["--read-only=1", " |  | option '--read-only' doesn't allow an argument"],
  ["--read", " |  | option '--read' is ambiguous; possibilities: '--read-only' '--reads'"],
])("%s", (line, expected) => expect(names(line)).toBe(expected));
