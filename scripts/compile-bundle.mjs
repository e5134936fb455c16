/**
 * Started by bundle.mjs, with the folder of a new bundle: runs the command that has to answer fastest, then stores beside its file
 * the code that V8 compiled for it, for this Node alone. V8 keeps the functions that ran; more of them would take longer to load than they save. Of the rest
 * of the code it keeps where functions begin and end.
 */

import { createRequire } from "node:module";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { main as compiledMain } from "../packages/cli/dist/main.js";
import { ROOT } from "./command.mjs";

const [folder, koffi] = process.argv.slice(2);
if (folder === undefined || koffi === undefined) throw new Error("usage: compile-bundle.mjs FOLDER VERSION-OF-KOFFI");

/** @type {typeof import("../packages/cli/bin/start.cjs")} */
const { loadBundle, compiledName } = createRequire(import.meta.url)(join(ROOT, "packages/cli/bin/start.cjs"));
const { exports, scripts } = loadBundle({ folder, koffi });
const bundledMain = /** @type {typeof compiledMain} */ (exports["main"]);
await warmUp(bundledMain);
exports["processHost"]().stdout.write("");
if (scripts.size > 1) throw new Error(`coblock info loads ${[...scripts.keys()].join(", ")}: STARTS_WITH in bundle.mjs lacks something`);
store();
await bundledMain(["--version"], silentProcess());
store();

/** Files that were loaded since the last time. */
function store() {
  for (const [path, script] of scripts) {
    const compiled = compiledName(path);
    if (!existsSync(compiled)) writeFileSync(compiled, script.createCachedData());
  }
}

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
