import { describe, expect, it } from "vitest";
import { besides, flag, parseCommandLine, value, values, type Dialect } from "./command-line.ts";
import type { UsageFailure } from "./failure.ts";

const TABLE = {
  format: value("f", "format"),
  target: value("O"),
  progress: flag("p"),
  quiet: flag("q", "quiet"),
  chain: flag(undefined, "backing-chain"),
  other: flag(undefined, "backing-other"),
  lists: values("o", "options"),
} as const;

const COBLOCK: Dialect = { isQemu: false, inOrder: false };

function parse(line: string, dialect: Dialect = COBLOCK): ReturnType<typeof parseCommandLine<typeof TABLE>> {
  return parseCommandLine("convert", TABLE, line === "" ? [] : line.split(" "), dialect);
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

  it("has names of its own, which are none of qemu-img", () => {
    const table = { drop: flag("d", besides("drop")), format: value(besides("f"), "format") } as const;
    const asQemu: Dialect = { isQemu: true, inOrder: false };
    expect(parseCommandLine("commit", table, ["--drop", "-fraw"], COBLOCK).options).toEqual({ drop: true, format: "raw" });
    expect(parseCommandLine("commit", table, ["-d", "--f=raw"], asQemu).options).toEqual({ drop: true, format: "raw" });
    for (const word of ["--drop", "-fraw"]) expect(() => parseCommandLine("commit", table, [word], asQemu)).toThrow(/unrecognized|invalid/);
  });

  it("names the words as qemu-img does", () => {
    const words = (line: string): readonly string[] => {
      try {
        parse(line);
        return [];
      } catch (error) {
        return (error as UsageFailure).words;
      }
    };
    expect(words("a --nonsense=1")).toEqual(["unrecognized option '--nonsense=1'"]);
    expect(words("a -qo")).toEqual(["missing argument for option '-qo'"]);
    expect(words("a -xq")).toEqual(["unrecognized option 'a'"]);
  });

  it("sees the wish for help", () => {
    expect(parse("-h").wantsHelp).toBe(true);
    expect(parse("a --help").wantsHelp).toBe(true);
    expect(parse("-f -h").wantsHelp).toBe(false);
    expect(parse("-h --nonsense").wantsHelp).toBe(true);
  });

  it.each([
    ["--object", "convert: option '--object' requires an argument"],
    ["-x", "convert: invalid option -- 'x'"],
    ["--nonsense=1", "convert: unrecognized option '--nonsense'"],
    ["--target raw", "convert: unrecognized option '--target'"],
    ["--backing", "convert: option '--backing' is ambiguous; possibilities: '--backing-chain' '--backing-other'"],
    ["-f", "convert: option requires an argument -- 'f'"],
    ["--quiet=yes", "convert: option '--quiet' doesn't allow an argument"],
  ])("refuses %s", (line, message) => expect(() => parse(line)).toThrow(message));
});
