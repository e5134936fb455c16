/** What must be written down: a page for every package, a row in the map for every folder, a test run of every example. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { FILES, PRODUCT, ROOT } from "./source-tree.ts";

const packages = readdirSync(join(ROOT, "packages")).filter((name) => existsSync(join(ROOT, "packages", name, "package.json")));

test("every package has a README.md", () => {
  expect(packages.filter((name) => !existsSync(join(ROOT, "packages", name, "README.md")))).toEqual([]);
});

test("ARCHITECTURE.md names every source folder", () => {
  const lines = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").split("\n");
  const folders = [...new Set(PRODUCT.map(({ path }) => dirname(path)))];
  expect(folders.filter((folder) => !lines.some((line) => namesFolder(line, folder)))).toEqual([]);
});

/** By its path from the top, or in the line of its package as `name/`. */
function namesFolder(line: string, folder: string): boolean {
  const [, name, , ...rest] = folder.split("/");
  if (line.includes(`\`${folder}\``)) return true;
  return (
    rest.length > 0 &&
    line.includes(`\`packages/${name ?? ""}/src`) &&
    (line.includes(`\`${rest.join("/")}/\``) || line.includes(`\`${rest.at(-1) ?? ""}\``))
  );
}

test("every package is built: the root tsconfig.json refers to it", () => {
  const { references } = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as { references: readonly { path: string }[] };
  const built = references.map(({ path }) => path);
  expect(packages.filter((name) => !built.includes(`packages/${name}`))).toEqual([]);
});

test("links between documents lead somewhere", () => {
  const documents = FILES.filter((path) => path.endsWith(".md"));
  const broken = documents.flatMap((path) =>
    [...readFileSync(join(ROOT, path), "utf8").matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target]) => target ?? "")
      .filter((target) => !existsSync(join(ROOT, dirname(path), target)))
      .map((target) => `${path}: ${target}`),
  );
  expect(broken).toEqual([]);
});
