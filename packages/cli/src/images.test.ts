import { describe, expect, it } from "vitest";
import { checkCacheMode, imageOptionsOf, wantsJson } from "./images.ts";

describe("imageOptionsOf", () => {
  it.each([
    ["driver=qcow2,file.filename=a", { driver: "qcow2", file: { driver: "file", filename: "a" } }],
    ["driver=qcow2,file.driver=file,file.filename=a,,b", { driver: "qcow2", file: { driver: "file", filename: "a,b" } }],
    [
      "driver=raw,file.filename=7,read-only=on,offset=1k",
      { driver: "raw", file: { driver: "file", filename: "7" }, readOnly: true, offset: 1024 },
    ],
    ["driver=null,size=1G,read-zeroes=off", { driver: "null", size: 2 ** 30, readZeroes: false }],
    ["driver=qcow2,file.filename=a,backing=", { driver: "qcow2", file: { driver: "file", filename: "a" }, backing: null }],
    [
      "driver=qcow2,file.filename=a,backing.driver=raw,backing.file.filename=b",
      { driver: "qcow2", file: { driver: "file", filename: "a" }, backing: { driver: "raw", file: { driver: "file", filename: "b" } } },
    ],
    [
      "driver=qcow2,file.filename=a,l2-cache-size=1M,l2-cache-entry-size=4k,cache-clean-interval=1",
      {
        driver: "qcow2",
        file: { driver: "file", filename: "a" },
        l2CacheSize: 2 ** 20,
        l2CacheEntrySize: 4096,
        cacheCleanInterval: 1,
      },
    ],
    [
      "driver=qcow2,file.filename=a,overlap-check.template=all,overlap-check.inactive-l2=off",
      { driver: "qcow2", file: { driver: "file", filename: "a" }, overlapCheck: { template: "all", inactiveL2: false } },
    ],
    ["driver=qcow2,file.filename=a,overlap-check=none", { driver: "qcow2", file: { driver: "file", filename: "a" }, overlapCheck: "none" }],
    ["filename=a", "a"],
    ["file.filename=a", "a"],
  ])("%s", (text, options) => expect(JSON.parse(JSON.stringify(imageOptionsOf(text)))).toEqual(options));

  it("asks for the driver where more than a name is given", () => {
    expect(() => imageOptionsOf("file.filename=a,offset=1k")).toThrow("does not tell the driver");
    expect(() => imageOptionsOf("size=1k")).toThrow("does not tell the driver");
  });
});

it("knows the output formats", () => {
  expect([wantsJson(undefined), wantsJson("human"), wantsJson("json")]).toEqual([false, false, true]);
  expect(() => wantsJson("xml")).toThrow("--output must be used with human or json");
});

it("knows the cache modes", () => {
  for (const mode of [undefined, "none", "writeback", "writethrough", "directsync", "unsafe"]) checkCacheMode(mode, "cache");
  expect(() => checkCacheMode("nonsense", "source cache")).toThrow("Invalid source cache option: nonsense");
});
