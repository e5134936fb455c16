/** What every command in this folder does: runs the bundle, or the compiled modules where they are newer, as the program `kind`. */
"use strict";

const { basename } = require("node:path");
const { findBundle, loadBundle } = require("./bundle.cjs");

/** @param {"coblock" | "qemu-img" | "qemu-io" | "qemu-nbd"} kind */
exports.start = async function start(kind) {
  const bundle = findBundle();
  const { main, processHost } = bundle === undefined ? await import("../dist/main.js") : loadBundle(bundle).exports;
  // A link keeps its own name here.
  const name = basename(process.argv[1] ?? kind);
  process.exitCode = await main(process.argv.slice(2), processHost(), { kind, name });
};
