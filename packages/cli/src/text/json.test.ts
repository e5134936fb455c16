import { describe, expect, it } from "vitest";
import { formatJson, quoteJson } from "./json.ts";

describe("formatJson", () => {
  it("indents by four spaces and keeps the order", () => {
    const text = formatJson({ b: 1, a: [true, null, 18_446_744_073_709_551_615n], c: { d: "e" } });
    expect(text).toBe(
      '{\n    "b": 1,\n    "a": [\n        true,\n        null,\n        18446744073709551615\n    ],\n    "c": {\n        "d": "e"\n    }\n}',
    );
  });

  it("leaves out what is undefined, and breaks the line within what is empty", () => {
    expect(formatJson({ a: undefined, b: [], c: {} })).toBe('{\n    "b": [\n    ],\n    "c": {\n    }\n}');
  });
});

describe("quoteJson", () => {
  it.each([
    ['a"b', '"a\\"b"'],
    ["grün", '"gr\\u00FCn"'],
    ["\u{1f4be}", '"\\uD83D\\uDCBE"'],
    ["\n\t\u0001\u007f", '"\\n\\t\\u0001\\u007F"'],
    ["\\u00e9", '"\\\\u00e9"'],
  ])("%j", (text, quoted) => {
    expect(quoteJson(text)).toBe(quoted);
    expect(JSON.parse(quoted)).toBe(text);
  });
});
