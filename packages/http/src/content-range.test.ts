import { expect, test } from "vitest";
import { parseContentRange } from "./content-range.ts";

test.each([
  ["bytes 0-0/1", { bytes: { offset: 0, length: 1 }, total: 1 }],
  ["Bytes  10-19/9007199254740991", { bytes: { offset: 10, length: 10 }, total: 9_007_199_254_740_991 }],
  ["bytes 5-9/*", { bytes: { offset: 5, length: 5 }, total: undefined }],
  ["bytes */0", { bytes: undefined, total: 0 }],
])("%s", (field, expected) => {
  expect(parseContentRange(field)).toEqual(expected);
});

test.each([
  undefined,
  "",
  "bytes",
  "bytes 1-0/5",
  "bytes 0-5/5",
  "bytes 0-5/3",
  "bytes -5/10",
  "octets 0-1/2",
  "bytes 0-1/2, 3-4/5",
  "bytes 0-9007199254740992/9007199254740993",
  "bytes 0x0-1/2",
  "bytes 0-1",
])("%s is none", (field) => {
  expect(parseContentRange(field)).toBeUndefined();
});
