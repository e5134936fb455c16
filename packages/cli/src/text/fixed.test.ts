import { describe, expect, it } from "vitest";
import { formatFixed, formatThreeDigits } from "./fixed.ts";

describe("formatFixed", () => {
  it.each([
    [8.125, 2, "8.12"],
    [8.375, 2, "8.38"],
    [0.125, 2, "0.12"],
    [2.675, 2, "2.67"],
    [100.5, 0, "100"],
    [101.5, 0, "102"],
    [10.25, 1, "10.2"],
    [99.999, 2, "100.00"],
    [0, 2, "0.00"],
    [100, 2, "100.00"],
  ])("%d with %i places is %s, as in C", (number, decimals, text) => expect(formatFixed(number, decimals)).toBe(text));
});

describe("formatThreeDigits", () => {
  it.each([
    [0, "0"],
    [1, "1"],
    [1.125, "1.12"],
    [1.5, "1.5"],
    [0.9765625, "0.977"],
    [9.999, "10"],
    [99.95, "100"],
    [100.5, "100"],
    [953.67, "954"],
    [999.6, "1e+03"],
  ])("%d is %s", (number, text) => expect(formatThreeDigits(number)).toBe(text));
});
