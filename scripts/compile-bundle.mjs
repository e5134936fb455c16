/**
 * Started by bundle.mjs, with the folder of a new bundle: runs what commands usually run, then stores beside each chunk the code that
 * V8 compiled for it. V8 keeps only the functions that ran.
 */

import { createRequire } from "node:module";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { ROOT } from "./command.mjs";

const FORMATS = ["raw", "qcow2", "qed"];

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: compile-bundle.mjs FOLDER");

/** @type {typeof import("../packages/cli/bin/bundle.cjs")} */
const { compile, openBundle } = createRequire(import.meta.url)(join(ROOT, "packages/cli/bin/bundle.cjs"));
const { load, chunks } = openBundle(folder);
await warmUp(load("main.cjs"));
for (const name of readdirSync(folder)) {
  // Chunks that the warm-up did not need are not run: some are made for worker threads.
  const script = chunks.get(name)?.script ?? compile(folder, name);
  writeFileSync(join(folder, `${name}.v8`), script.createCachedData());
}

/**
 * Exit codes do not matter here, only what ran; tests look at what commands do.
 * @param {Record<string, any>} program
 */
async function warmUp(program) {
  const scratch = mkdtempSync(join(tmpdir(), "coblock-"));
  try {
    const commands = FORMATS.flatMap((format) => {
      const image = join(scratch, `image.${format}`);
      return [
        ["create", "-f", format, image, "1M"],
        ["info", image],
        ["info", "--output=json", image],
      ];
    });
    for (const args of [["--help"], ...commands]) await program["main"](args, silentProcess());
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The process, but with output streams that lead nowhere. */
function silentProcess() {
  const drain = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  return { ...process, stdout: drain(), stderr: drain() };
}
