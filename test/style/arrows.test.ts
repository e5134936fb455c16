/** Which way imports may point: between packages, and between the layers inside core. */

import { describe, expect, test } from "vitest";
import { CODE, isTest, PRODUCT, type SourceFile } from "./source-tree.ts";

/** What each package may import. A package that is not named here is a format: it knows core, and what core has no use for but several formats have. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  crypto: ["core"],
  cli: ["core", "filters", "http", "luks", "nbd", "qcow2", "qed"],
  http: ["core"],
  nbd: ["core"],
};
const FORMAT: readonly string[] = ["core", "crypto"];

/**
 * The folders and top files of core/src, from the top down. A layer imports from itself and from those below it; types may come from
 * anywhere, since the contract speaks of what is above it.
 */
const LAYERS: readonly string[][] = [
  ["index.ts"],
  ["jobs"],
  ["graph.ts", "graph"],
  [
    "node.ts",
    "node-parts.ts",
    "drained-node.ts",
    "below.ts",
    "child.ts",
    "chain.ts",
    "extents.ts",
    "readable.ts",
    "reopen.ts",
    "snapshots.ts",
    "vm-state.ts",
    "secrets.ts",
  ],
  ["request"],
  ["bitmap"],
  ["mapping"],
  ["drivers"],
  ["host"],
  ["coroutine"],
  ["driver.ts", "checking.ts", "creation.ts", "amend.ts", "block-event.ts", "breakpoints.ts", "options.ts", "failures.ts"],
  ["binary"],
  ["errors.ts"],
];

const packageOf = (path: string): string => path.split("/")[1] ?? "";
const layerOf = (path: string): number => LAYERS.findIndex((layer) => layer.includes(path.split("/")[3] ?? ""));

function packageImports(file: SourceFile): string[] {
  return file.imports().flatMap(({ specifier }) => {
    const target = file.resolve(specifier);
    if (target !== undefined) return packageOf(target) === packageOf(file.path) && target.startsWith("packages/") ? [] : [target];
    return specifier.startsWith("@coblock/") ? [specifier.split("/")[1] ?? ""] : [];
  });
}

describe("packages import", () => {
  test("only the packages below them", () => {
    const wrong = PRODUCT.flatMap((file) => {
      const allowed = ALLOWED[packageOf(file.path)] ?? FORMAT;
      return packageImports(file)
        .filter((name) => !allowed.includes(name))
        .map((name) => `${file.path} imports ${name}`);
    });
    expect(wrong).toEqual([]);
  });

  test("the testing package in tests alone, and no format in another one's tests", () => {
    const tests = CODE.filter(({ path }) => path.startsWith("packages/") && isTest(path));
    const wrong = tests.flatMap((file) => {
      const allowed = [...(ALLOWED[packageOf(file.path)] ?? FORMAT), "testing"];
      return packageImports(file)
        .filter((name) => !allowed.includes(name))
        .map((name) => `${file.path} imports ${name}`);
    });
    expect(wrong).toEqual([]);
  });
});

describe("inside core", () => {
  const core = PRODUCT.filter(({ path }) => path.startsWith("packages/core/src/"));

  test("every folder and top file has its layer", () => {
    expect(core.filter(({ path }) => layerOf(path) < 0).map(({ path }) => path)).toEqual([]);
  });

  test("imports point down", () => {
    const wrong = core.flatMap((file) =>
      file
        .imports()
        .filter(({ isType }) => !isType)
        .map(({ specifier }) => file.resolve(specifier))
        .filter((target) => target !== undefined && layerOf(target) < layerOf(file.path))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });
});
