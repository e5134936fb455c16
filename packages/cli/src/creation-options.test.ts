import type { BlockDriver } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { asksForHelp, checkChoices, parseCreationOptions } from "./creation-options.ts";
import { describeCreation, describeCreationOptions } from "./creation-text.ts";
import { COBLOCK } from "./program.ts";

const driver: BlockDriver = {
  name: "sample",
  kind: "format",
  optionNames: ["file", "backing"],
  createOptions: [
    { name: "cluster_size", type: "size", help: "Size of a cluster", defaultValue: 65_536 },
    { name: "copies", type: "number", help: "How many" },
    { name: "lazy", type: "flag", help: "Later" },
    { name: "mode", type: "choice", choices: ["off", "full"], help: "How" },
    { name: "label", type: "text", help: "What it is called" },
  ],
  open: () => Promise.reject(new Error("not opened here")),
};

describe("parseCreationOptions", () => {
  it("gives each value its type", () => {
    expect(
      parseCreationOptions(driver, ["cluster_size=4k,copies=2", "lazy=on,mode=full,label=a,,b", "size=1M,backing_file=x,backing_fmt=raw"]),
    ).toEqual({
      values: { cluster_size: 4096, copies: 2, lazy: true, mode: "full", label: "a,b" },
      hints: {},
      flagWords: { lazy: "on" },
      size: 1_048_576,
      backingFile: "x",
      backingFormat: "raw",
    });
  });

  it.each([
    ["nonsense=1", "Invalid parameter 'nonsense'"],
    ["cluster_size=x", "Invalid value for 'cluster_size'"],
    ["copies=1k", "Invalid value for 'copies'"],
    ["lazy=maybe", "Parameter 'lazy' expects 'on' or 'off'"],
  ])("refuses %s", (list, message) => expect(() => parseCreationOptions(driver, [list])).toThrow(message));
});

it("looks at choices when it is asked to", () => {
  const { values } = parseCreationOptions(driver, ["mode=half"]);
  expect(() => checkChoices(driver, values)).toThrow("Parameter 'mode' does not accept value 'half' (it takes off, full)");
});

it("takes hints for the host's file", () => {
  expect(parseCreationOptions(driver, ["nocow=on,extent_size_hint=1M"])).toMatchObject({
    values: {},
    hints: { nocow: true, extent_size_hint: 1048576 },
  });
});

it("sees the wish for help in any list", () => {
  expect([asksForHelp(["a=1", "help"]), asksForHelp(["?"]), asksForHelp(["a=help"]), asksForHelp([])]).toEqual([true, true, false, false]);
});

it("lists the options by name", () => {
  expect(
    describeCreationOptions({ ...driver, create: () => Promise.resolve() }, undefined, COBLOCK)
      .split("\n")
      .slice(0, 4),
  ).toEqual([
    "Supported sample options:",
    "  backing_file=<str>     - File name of a base image",
    "  backing_fmt=<str>      - Image format of the base image",
    "  cluster_size=<size>    - Size of a cluster",
  ]);
});

it("tells what it makes", () => {
  const creation = parseCreationOptions(driver, ["lazy=on,backing_file=x,backing_fmt=raw"]);
  expect(describeCreation(driver, "disk", 512, creation)).toBe(
    "Formatting 'disk', fmt=sample size=512 backing_file=x backing_fmt=raw cluster_size=65536 lazy=on",
  );
});
