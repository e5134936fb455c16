/** Files and functions that outgrow what a reader takes in. The list of those that do may only shrink. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CODE, isTest, PRODUCT, ROOT } from "./source-tree.ts";

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 60;

/** Lines by path, and by `path#function`. An entry that has become smaller is lowered, one that fits is removed; none is raised. */
interface Exceptions {
  readonly files: Readonly<Record<string, number>>;
  readonly functions: Readonly<Record<string, number>>;
}

const exceptions = JSON.parse(readFileSync(join(ROOT, "test/style/exceptions.json"), "utf8")) as Exceptions;

function overLimit(sizes: readonly (readonly [name: string, lines: number])[], limit: number): Record<string, number> {
  const over: Record<string, number> = {};
  for (const [name, lines] of sizes) if (lines > limit) over[name] = Math.max(lines, over[name] ?? 0);
  return over;
}

test(`no file is longer than ${MAX_FILE_LINES} lines`, () => {
  const sizes = CODE.map((file) => [file.path, file.lineCount] as const);
  expect(overLimit(sizes, MAX_FILE_LINES)).toEqual(exceptions.files);
});

test(`no function is longer than ${MAX_FUNCTION_LINES} lines`, () => {
  const programs = CODE.filter(({ path }) => !path.startsWith("packages/") && !isTest(path));
  const sizes = [...PRODUCT, ...programs].flatMap((file) =>
    file.functions().map(({ name, lines }) => [`${file.path}#${name}`, lines] as const),
  );
  expect(overLimit(sizes, MAX_FUNCTION_LINES)).toEqual(exceptions.functions);
});
