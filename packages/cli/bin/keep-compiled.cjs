/**
 * A package that was installed comes without compiled code, which is for one Node alone: the first command that runs keeps what V8 made of
 * the bundle beside it, and all later ones begin a third sooner.
 */
"use strict";

const { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } = require("node:fs");
const { dirname } = require("node:path");

/**
 * Only in a folder of ours, which is as safe as the bundle: who may write there may change that too. Where it cannot be done, each start
 * compiles.
 * @param {readonly (readonly [path: string, script: import("node:vm").Script])[]} scripts
 * @param {(path: string) => string} compiledName
 */
exports.keepCompiled = function keepCompiled(scripts, compiledName) {
  // V8 takes compiled code under the flags alone that it was made under.
  if (process.execArgv.length > 0 || (process.env["NODE_OPTIONS"] ?? "") !== "") return;
  for (const [path, script] of scripts) {
    try {
      if (statSync(dirname(path)).uid !== process.geteuid?.()) return;
      writeWhole(compiledName(path), script.createCachedData());
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === undefined) throw error;
      return;
    }
  }
};

/**
 * A start beside this one sees all of it or nothing, and so does one after a power cut.
 * @param {string} path
 * @param {Buffer} bytes
 */
function writeWhole(path, bytes) {
  const draft = `${path}.${process.pid}`;
  const fd = openSync(draft, "wx");
  try {
    try {
      writeFileSync(fd, bytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
