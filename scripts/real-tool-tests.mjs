/** Finds the test files that start a given host program, so that a machine without it can run all the others. */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { ROOT } from "./command.mjs";

const FOLDERS = ["packages", "test", "examples"];
const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "bundle"]);
const TEST = /\.test\.ts$/;
/** Code that only tests use: where a test does not name the program itself, its fixture does. */
const FIXTURE = /(?:^|\/)(?:test|fixture)\/.*\.ts$/;
const RELATIVE_IMPORT = /\bfrom "(\.{1,2}\/[^"]+\.ts)"/g;

/**
 * @param {readonly string[]} commands
 * @returns {{ file: string, command: string }[]}  Paths from the top.
 */
export function testsThatStart(commands) {
  const tests = FOLDERS.flatMap((folder) => [...filesUnder(join(ROOT, folder))]).filter((path) => TEST.test(path));
  return tests.flatMap((path) => {
    const text = [...withFixtures(path, new Set())].map((file) => readFileSync(file, "utf8")).join("\n");
    const command = commands.find((name) => text.includes(`"${name}"`));
    return command === undefined ? [] : [{ file: relative(ROOT, path), command }];
  });
}

/**
 * @param {string} folder
 * @returns {Iterable<string>}
 */
function* filesUnder(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isFile()) yield join(folder, entry.name);
    else if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) yield* filesUnder(join(folder, entry.name));
  }
}

/**
 * The test file and the fixtures that it imports, directly or not.
 * @param {string} path
 * @param {Set<string>} seen
 */
function withFixtures(path, seen) {
  seen.add(path);
  for (const [, specifier] of readFileSync(path, "utf8").matchAll(RELATIVE_IMPORT)) {
    const imported = resolve(dirname(path), specifier ?? "");
    if (FIXTURE.test(relative(ROOT, imported)) && !seen.has(imported) && existsSync(imported)) withFixtures(imported, seen);
  }
  return seen;
}
