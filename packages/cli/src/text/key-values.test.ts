import { describe, expect, it } from "vitest";
import { parseFlag, parseKeyValues } from "./key-values.ts";

describe("parseKeyValues", () => {
  it.each([
    ["a=1,b=2", { a: "1", b: "2" }],
    ["a=x,,y,b=", { a: "x,y", b: "" }],
    ["a=x,,,b=1", { a: "x,", b: "1" }],
    ["a=b=c", { a: "b=c" }],
    ["lazy,a=1", { lazy: "on", a: "1" }],
    ["a=1,a=2", { a: "2" }],
    ["a=1,", { a: "1" }],
    ["", {}],
  ])("%j", (text, pairs) => expect(Object.fromEntries(parseKeyValues(text))).toEqual(pairs));

  it("refuses a value without a name", () => expect(() => parseKeyValues("=1")).toThrow("a name is missing"));
});

describe("parseFlag", () => {
  it("knows on and off", () => {
    expect([parseFlag("on", "lazy"), parseFlag("off", "lazy")]).toEqual([true, false]);
    expect(() => parseFlag("maybe", "lazy")).toThrow("Parameter 'lazy' expects 'on' or 'off'");
  });
});
