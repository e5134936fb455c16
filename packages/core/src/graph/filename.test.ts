import { describe, expect, test } from "vitest";
import { asPath, nestOptions, parseFileName, resolveBeside } from "./filename.ts";

test.each([
  ["disk.img", undefined, "disk.img"],
  ["/a/b:c", undefined, "/a/b:c"],
  ["./a:b", undefined, "./a:b"],
  ["file:disk.img", "file", "disk.img"],
  ["file:a:b", "file", "a:b"],
  ["nbd://host/export", "nbd", "nbd://host/export"],
  ["nbd+unix:///x", "nbd+unix", "nbd+unix:///x"],
  ["a.b-c:x", "a.b-c", "a.b-c:x"],
  ["1a:x", undefined, "1a:x"],
  [":x", undefined, ":x"],
  ["", undefined, ""],
])("%j has the protocol %j", (name, protocol, path) => {
  expect(parseFileName(name)).toEqual({ kind: "path", protocol, path });
});

describe("json: names", () => {
  test("dotted names are nested, QEMU's spelling becomes ours", () => {
    expect(parseFileName('json:{"driver":"raw","file.filename":"x","node-name":"n","file":{"read-only":true}}')).toEqual({
      kind: "json",
      options: { driver: "raw", file: { filename: "x", readOnly: true }, nodeName: "n" },
    });
  });

  test.each(["json:", "json:{", "json:[]", "json:null", "json:5", 'json:"x"'])("%s is refused", (name) => {
    expect(() => parseFileName(name)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  test("no name reaches a prototype", () => {
    const nested = nestOptions(JSON.parse('{"__proto__.polluted":1,"constructor":{"prototype.polluted":1}}') as Record<string, unknown>);
    expect(Object.getPrototypeOf(nested)).toBeNull();
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("options that contradict each other are refused", () => {
    expect(() => nestOptions({ file: "x", "file.filename": "y" })).toThrow("contradicts");
    expect(() => nestOptions({ "file.filename": "y", file: "x" })).toThrow("twice");
    expect(() => nestOptions({ "node-name": "x", nodeName: "y" })).toThrow("twice");
  });
});

describe("names that images give", () => {
  test.each([
    ["overlay", "base", "base"],
    ["./overlay", "base", "./base"],
    ["dir/overlay", "base", "dir/base"],
    ["dir/overlay", "../base", "dir/../base"],
    ["/dir/overlay", "base", "/dir/base"],
    ["/dir/overlay", "sub/base", "/dir/sub/base"],
    ["dir/overlay", "/base", "/base"],
    ["dir/overlay", "file:base", "dir/base"],
    ["dir/overlay", "file:/base", "/base"],
    ["dir/overlay", "nbd://host/x", "nbd://host/x"],
    ["http://host/dir/overlay", "base", "http://host/dir/base"],
    ["http://host/dir/overlay", "/base", "/base"],
    ["test:overlay", "base", "test:base"],
    ["test:dir/overlay", "base", "test:dir/base"],
    ["file:dir/overlay", "base", "dir/base"],
  ])("beside %s, %s is %s", (image, name, resolved) => {
    expect(resolveBeside(image, name)).toBe(resolved);
  });

  test.each([
    ["overlay", 'file:json:{"driver":"null"}'],
    ["overlay", "file:nbd://host/x"],
    ["overlay", "file:file:x"],
    ["./overlay", "file:json:{}"],
    ["./nbd:dir/overlay", "base"],
    ["./json:dir/overlay", "base"],
  ])("beside %s, %s stays a path of the host", (image, name) => {
    const resolved = resolveBeside(image, name);
    expect(parseFileName(resolved)).toEqual({ kind: "path", protocol: undefined, path: resolved });
  });
});

test.each([
  ["a", "a"],
  ["a:b", "./a:b"],
  ["/a:b", "/a:b"],
  ["json:{}", "./json:{}"],
])("%s as a path is %s", (path, unmistakable) => {
  expect(asPath(path)).toBe(unmistakable);
});
