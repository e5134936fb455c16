/**
 * Started by bundle.mjs, with the folder of a new bundle: runs the command that has to answer fastest, then stores beside the bundle
 * the code that V8 compiled for it. V8 keeps the functions that ran; more of them would take longer to load than they save.
 */

import { createRequire } from "node:module";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { main as compiledMain } from "../packages/cli/dist/main.js";
import { ROOT } from "./command.mjs";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: compile-bundle.mjs FOLDER");

/** @type {typeof import("../packages/cli/bin/bundle.cjs")} */
const { loadBundle } = createRequire(import.meta.url)(join(ROOT, "packages/cli/bin/bundle.cjs"));
const { exports, script } = loadBundle(folder);
await warmUp(/** @type {typeof compiledMain} */ (exports["main"]));
writeFileSync(join(folder, "main.cjs.v8"), script.createCachedData());

/**
 * Exit codes do not matter here, only what ran; tests look at what commands do.
 * @param {typeof compiledMain} main
 */
async function warmUp(main) {
  const scratch = mkdtempSync(join(tmpdir(), "coblock-"));
  try {
    const image = join(scratch, "image.qcow2");
    await compiledMain(["create", "-f", "qcow2", image, "1M"], silentProcess());
    await main(["info", image], silentProcess());
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The process, but with output streams that lead nowhere. */
function silentProcess() {
  const drain = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  return { stdout: drain(), stderr: drain(), env: process.env };
}
