import { describe, expect, it } from "vitest";
import { CommandFailure } from "../failure.ts";
import { formatSize, parseCount, parseSize } from "./size.ts";

describe("formatSize", () => {
  it.each([
    [0, "0 B"],
    [512, "512 B"],
    [999, "999 B"],
    [1000, "0.977 KiB"],
    [1024, "1 KiB"],
    [200_704, "196 KiB"],
    [1_048_576, "1 MiB"],
    [1_445_888, "1.38 MiB"],
    [1_000_000_000, "954 MiB"],
    [1_207_959_552, "1.12 GiB"],
    [5_497_558_138_880, "5 TiB"],
    [Number.MAX_SAFE_INTEGER, "8 PiB"],
  ])("%d bytes are %s", (bytes, text) => expect(formatSize(bytes)).toBe(text));
});

describe("parseSize", () => {
  it.each([
    ["0", 0],
    ["1000", 1000],
    ["10b", 10],
    ["1k", 1024],
    ["1K", 1024],
    ["1.5G", 1_610_612_736],
    ["0.5k", 512],
    ["1.0", 1],
    ["2T", 2 ** 41],
    ["1P", 2 ** 50],
    ["0x1000", 4096],
    ["0x1b", 27],
    ["0x1e", 30],
  ])("%s is %d", (text, bytes) => expect(parseSize(text, "size")).toBe(bytes));

  it.each(["", "x", "1X", "-1", "1.5", "1 k", "1kk", ".5k", "0x", "1e3", "8P", "1E", "99999999999999999999"])(
    "refuses %j and says what it was for",
    (text) => {
      expect(() => parseSize(text, "cluster size")).toThrow(CommandFailure);
      expect(() => parseSize(text, "cluster size")).toThrow("Invalid cluster size specified");
    },
  );
});

describe("parseCount", () => {
  it("takes whole numbers alone", () => {
    expect(parseCount("75000", "count")).toBe(75_000);
    expect(parseCount("0x10", "count")).toBe(16);
    for (const text of ["", "x", "1k", "1.5", "-1", "99999999999999999999"])
      expect(() => parseCount(text, "count")).toThrow("Invalid count specified");
  });
});
