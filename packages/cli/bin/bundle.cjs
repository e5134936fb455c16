/** The bundle that scripts/bundle.mjs made, and V8's compiled form of it. All of start-up goes through here: keep it short. */
"use strict";

const { readFileSync, statSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const HOME = join(__dirname, "../bundle");

/**
 * `inputs`: what the bundle was made from, as paths relative to `bundle/` with their modification times in milliseconds.
 * @typedef {{ readonly directory: string, readonly builtBy: string, readonly inputs: readonly (readonly [path: string, modifiedMs: number])[] }} Current
 * @typedef {{ exports: Record<string, any>, readonly script: Script }} Chunk
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
 * Answers the function that loads a chunk of the bundle in `folder` by its file name, and the chunks loaded so far.
 * @param {string} folder
 */
exports.openBundle = function openBundle(folder) {
  /** @type {Map<string, Chunk>} */
  const chunks = new Map();

  /** @param {string} name */
  function load(name) {
    const loaded = chunks.get(name);
    if (loaded !== undefined) return loaded.exports;
    const chunk = { exports: {}, script: compile(folder, name) };
    chunks.set(name, chunk);
    chunk.script.runInThisContext()(chunk.exports, requireFromBundle, chunk, join(folder, name), folder);
    return chunk.exports;
  }

  /** @param {string} id */
  function requireFromBundle(id) {
    return id.startsWith("./") ? load(id.slice(2)) : require(id);
  }

  return { load, chunks };
};

exports.compile = compile;

/**
 * A chunk in the wrapper that Node gives to CommonJS modules. V8 ignores compiled code that another version of it made. Compiled code
 * knows where it was compiled, so stack traces get a name that is right wherever the bundle goes.
 * @param {string} folder
 * @param {string} name
 */
function compile(folder, name) {
  const source = readFileSync(join(folder, name), "utf8");
  const cachedData = readIfThere(join(folder, `${name}.v8`));
  return new Script(`(function (exports, require, module, __filename, __dirname) { ${source}\n})`, {
    filename: `coblock/${name}`,
    cachedData,
  });
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return undefined;
    throw error;
  }
}
