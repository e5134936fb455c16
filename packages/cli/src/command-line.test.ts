import { describe, expect, it } from "vitest";
import { flag, parseCommandLine, value, values } from "./command-line.ts";

const TABLE = {
  format: value("f", "format"),
  target: value("O"),
  progress: flag("p"),
  quiet: flag("q", "quiet"),
  chain: flag(undefined, "backing-chain"),
  other: flag(undefined, "backing-other"),
  lists: values("o", "options"),
} as const;

function parse(line: string): ReturnType<typeof parseCommandLine<typeof TABLE>> {
  return parseCommandLine("convert", TABLE, line === "" ? [] : line.split(" "));
}

describe("parseCommandLine", () => {
  it("starts with nothing set", () => {
    const unset = {
      format: undefined,
      target: undefined,
      progress: false,
      quiet: false,
      chain: false,
      other: false,
      lists: [],
    };
    expect(parse("")).toEqual({ options: unset, given: [], operands: [], objects: [], wantsHelp: false });
  });

  it.each(["-O qcow2 a b", "-Oqcow2 a b", "a -O qcow2 b", "a b -O qcow2", "-O raw a -Oqcow2 b"])("reads %s", (line) => {
    expect(parse(line)).toMatchObject({ options: { target: "qcow2" }, operands: ["a", "b"] });
  });

  it.each(["-pqO qcow2 a", "-pqOqcow2 a", "-p -q -O qcow2 a"])("reads the group %s", (line) => {
    expect(parse(line)).toMatchObject({ options: { progress: true, quiet: true, target: "qcow2" }, operands: ["a"] });
  });

  it.each(["--format=raw", "--format raw", "--form=raw", "--fo raw"])("reads %s", (line) => {
    expect(parse(line)).toMatchObject({ options: { format: "raw" }, operands: [] });
  });

  it("gathers what may be given more than once", () => {
    expect(parse("-o a=1 --options b=2 -oc=3").options.lists).toEqual(["a=1", "b=2", "c=3"]);
  });

  it("tells what was given in its order, without what all commands share", () => {
    const given = [
      { name: "lists", text: "a" },
      { name: "progress", text: undefined },
      { name: "lists", text: "b" },
    ];
    expect(parse("-o a --object x -p disk -ob").given).toEqual(given);
  });

  it("takes a value that looks like an option, and no option after --", () => {
    expect(parse("-f -p").options).toMatchObject({ format: "-p", progress: false });
    expect(parse("-- -p --form").operands).toEqual(["-p", "--form"]);
  });

  it("sees the wish for help", () => {
    expect(parse("-h").wantsHelp).toBe(true);
    expect(parse("a --help").wantsHelp).toBe(true);
    expect(parse("-f -h").wantsHelp).toBe(false);
  });

  it.each([
    ["--object", "convert: missing argument for option '--object'"],
    ["-x", "convert: unrecognized option '-x'"],
    ["--nonsense=1", "convert: unrecognized option '--nonsense'"],
    ["--target raw", "convert: unrecognized option '--target'"],
    ["--backing", "convert: option '--backing' is ambiguous: --backing-chain, --backing-other"],
    ["-f", "convert: missing argument for option '-f'"],
    ["--quiet=yes", "convert: option '--quiet' takes no argument"],
  ])("refuses %s", (line, message) => expect(() => parse(line)).toThrow(message));
});
