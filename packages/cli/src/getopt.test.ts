import { expect, it } from "vitest";
import { parseWords } from "./getopt.ts";

const LONG = {
  cmd: { name: "c", takesArgument: true },
  "read-only": { name: "r", takesArgument: false },
  reads: { name: "x", takesArgument: false },
};
const names = (line: string): string => {
  const { options, operands, problem } = parseWords(line.split(" "), { letters: "c:rq", long: LONG });
  return `${options.map(({ name, argument }) => name + argument).join(" ")} | ${operands.join(" ")}${problem === undefined ? "" : ` | ${problem.message}`}`;
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

it("ends the options at the first operand where they come in order", () => {
  expect(parseWords(["-q", "a", "-r"], { letters: "rq", inOrder: true })).toEqual({
    options: [{ name: "q", argument: "" }],
    operands: ["a", "-r"],
  });
});

it.each([
  ["-z", "-z"],
  ["-q -qz", "-qz"],
  ["-qzq", "program"],
  ["-c 1 -zq", "1"],
  ["a -q b -zq", "b"],
  ["a -c 1 -zq", "a"],
  ["--read-only=1", "--read-only=1"],
  ["-qc", "-qc"],
])("tells where getopt stood after %s: %s", (line, word) => {
  expect(parseWords(line.split(" "), { letters: "c:rq", long: LONG, program: "program" }).problem?.word).toBe(word);
});
