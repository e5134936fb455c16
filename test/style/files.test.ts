/** What a file is called, how it opens, and what it must not hold. */

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { CODE, FILES, isTest, PRODUCT, ROOT } from "./source-tree.ts";

/** The clock itself; the lab's own event loop; and who forbids them to the code under test. */
const ASKERS: readonly string[] = [
  "packages/core/src/coroutine/system-clock.ts",
  "packages/testing/src/lab/event-loop.ts",
  "packages/testing/src/lab/purity.ts",
];
const TIME_AND_CHANCE = /\b(?:Date\.now|performance\.now|process\.hrtime|Math\.random|setTimeout|setInterval|setImmediate)\b/;

/** Written in pieces, so that this file may be looked at as well. */
const REGISTRY_HOSTS = [
  ["registry", "npmjs"],
  ["npmjs", "com"],
  ["yarnpkg", "com"],
  ["unpkg", "com"],
  ["jsdelivr", "net"],
  ["deb", "debian", "org"],
].map((parts) => parts.join("."));

test("no file is called after what it is not", () => {
  const vague = /^(?:utils?|helpers?|types?|common|misc|shared)\b|^(?:base|abstract)-/;
  expect(FILES.filter((path) => vague.test(basename(path)))).toEqual([]);
});

test("names are lower case words joined by hyphens", () => {
  const isPlain = (path: string): boolean => /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.config)?\.[a-z]+$/.test(basename(path));
  expect(CODE.map(({ path }) => path).filter((path) => !isPlain(path))).toEqual([]);
});

test("nothing that is compiled is committed beside its source", () => {
  expect(FILES.filter((path) => /^packages\/[^/]+\/src\/.*(?:\.js|\.d\.ts|\.map)$/.test(path))).toEqual([]);
});

test("every file but a test opens with a sentence on its job", () => {
  const opensWithComment = /^(?:#!.*\n)?\/\*\*[\s*]*[\w`]/;
  const silent = CODE.filter(({ text, path }) => !opensWithComment.test(text) && !isTest(path));
  expect(silent.map(({ path }) => path)).toEqual([]);
});

test("every exported function and class has a sentence", () => {
  const missing = PRODUCT.flatMap((file) => file.undocumentedExports().map((name) => `${file.path}: ${name}`));
  expect(missing).toEqual([]);
});

test("index.ts only re-exports", () => {
  const indexes = PRODUCT.filter(({ path }) => basename(path) === "index.ts");
  const isReExport = (statement: { readonly type: string; readonly source?: unknown }): boolean =>
    /^(?:ExportAll|ExportNamed)Declaration$/.test(statement.type) && statement.source !== null;
  expect(indexes.filter(({ program }) => !program.body.every(isReExport)).map(({ path }) => path)).toEqual([]);
});

test("only the clock and the lab ask for time and chance", () => {
  const askers = PRODUCT.filter(({ code, path }) => !ASKERS.includes(path) && TIME_AND_CHANCE.test(code));
  expect(askers.map(({ path, code }) => `${path}: ${TIME_AND_CHANCE.exec(code)?.[0] ?? ""}`)).toEqual([]);
});

test("no package registry is named", () => {
  const named = FILES.filter((path) => {
    const text = readFileSync(join(ROOT, path), "latin1");
    return REGISTRY_HOSTS.some((host) => text.includes(host));
  });
  expect(named).toEqual([]);
});
