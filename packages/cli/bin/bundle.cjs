/** The bundle that scripts/bundle.mjs made, and V8's compiled form of it. All of start-up goes through here: keep it short. */
"use strict";

const { readFileSync, statSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const HOME = join(__dirname, "../bundle");

/**
 * `inputs`: what the bundle was made from, as paths relative to `bundle/` with their modification times in milliseconds.
 * @typedef {{ readonly directory: string, readonly builtBy: string, readonly inputs: readonly (readonly [path: string, modifiedMs: number])[] }} Current
 */

/**
 * The folder of the bundle, if there is one that is as new as the compiled packages. Where those are not there (a published package),
 * nothing can be newer.
 * @returns {string | undefined}
 */
exports.findBundle = function findBundle() {
  const text = readIfThere(join(HOME, "current.json"));
  if (text === undefined) return undefined;
  const current = /** @type {Current} */ (JSON.parse(text.toString("utf8")));
  for (const [path, modifiedMs] of current.inputs) {
    const found = statSync(join(HOME, path), { throwIfNoEntry: false });
    if (found !== undefined && found.mtimeMs !== modifiedMs) return undefined;
  }
  return join(HOME, current.directory);
};

/**
 * Runs the bundle in `folder` as Node runs a CommonJS module. V8 passes over compiled code that another version of it made.
 * @param {string} folder
 * @returns {{ exports: Record<string, any>, script: Script }}
 */
exports.loadBundle = function loadBundle(folder) {
  const path = join(folder, "main.cjs");
  // A function in ASCII, as scripts/bundle.mjs leaves it: V8 takes it byte for byte.
  const source = readFileSync(path, "latin1");
  // Compiled code keeps the name that it was compiled under: one that is right wherever the bundle goes.
  const script = new Script(source, { filename: "coblock/main.cjs", cachedData: readIfThere(`${path}.v8`) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, path, folder);
  return { exports: module.exports, script };
};

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return undefined;
    throw error;
  }
}
