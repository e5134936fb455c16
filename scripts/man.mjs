/** Writes the man pages of the command into packages/cli/man, from the same tables as its `--help`. */

import { existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./command.mjs";

const CLI = join(ROOT, "packages/cli");
const FOLDER = join(CLI, "man");

/** Does nothing where the pages were made from the command as it is compiled. */
export async function writeManPagesIfStale() {
  const { mtime } = statSync(join(CLI, "dist/.tsbuildinfo"));
  if (existsSync(FOLDER) && statSync(FOLDER).mtimeMs === mtime.getTime()) return;
  /** @type {typeof import("../packages/cli/dist/manual/roff.js")} */
  const { manPages } = await import(pathToFileURL(join(CLI, "dist/manual/roff.js")).href);
  const pages = await manPages();
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER);
  for (const [name, text] of pages) writeFileSync(join(FOLDER, name), text);
  utimesSync(FOLDER, mtime, mtime);
}
