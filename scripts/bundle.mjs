/**
 * Makes the command start fast: CommonJS chunks with all the code that the command uses, and beside each what V8 compiled it to.
 * Dynamic imports stay chunks of their own, so that a format is loaded when an image needs it.
 *
 * In packages/cli/bundle, `<hash>/` holds one build and never changes, and `current.json` names the newest: a command that runs
 * while another one builds finds all the chunks that it began with.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ROOT, runQuietly } from "./command.mjs";

const CLI = join(ROOT, "packages/cli");
const OUTPUT = join(CLI, "bundle");
const CURRENT = join(OUTPUT, "current.json");

/** Loaded from node_modules when needed: they find binaries beside themselves. */
const EXTERNAL = ["koffi"];

/** @typedef {import("../packages/cli/bin/bundle.cjs").Current} Current */

/**
 * Bundles, unless there is a bundle that this Node made from the compiled packages as they are.
 * @param {readonly string[]} packages  Folders, from the top.
 */
export async function bundleIfStale(packages) {
  const wanted = { builtBy: `${process.version} ${hashOf([import.meta.filename])}`, inputs: describeInputs(packages) };
  const previous = readCurrent();
  if (previous !== undefined && JSON.stringify({ ...previous, directory: "" }) === JSON.stringify({ directory: "", ...wanted })) return;

  const draft = join(OUTPUT, "draft");
  rmSync(draft, { recursive: true, force: true });
  await writeChunks(draft);
  runQuietly(undefined, process.execPath, [join(ROOT, "scripts/compile-bundle.mjs"), draft]);
  const directory = keep(draft);
  writeFileSync(`${CURRENT}.new`, JSON.stringify({ directory, ...wanted }));
  renameSync(`${CURRENT}.new`, CURRENT);
  removeAllBut([directory, previous?.directory]);
}

/** @returns {Current | undefined} */
function readCurrent() {
  return existsSync(CURRENT) ? JSON.parse(readFileSync(CURRENT, "utf8")) : undefined;
}

/**
 * The compiler writes a package's build info whenever it writes anything.
 * @param {readonly string[]} packages
 * @returns {Current["inputs"]}
 */
function describeInputs(packages) {
  return packages.map((folder) => {
    const buildInfo = join(folder, "dist/.tsbuildinfo");
    return [join("../../..", buildInfo), statSync(join(ROOT, buildInfo)).mtimeMs];
  });
}

/** @param {string} folder */
async function writeChunks(folder) {
  const { rolldown } = await import("rolldown");
  /** @type {Set<string>} */
  const workers = new Set();
  const build = await rolldown({
    input: { main: join(CLI, "dist/main.js") },
    platform: "node",
    external: EXTERNAL,
    plugins: [findWorkers(workers)],
  });
  await build.write({
    dir: folder,
    format: "cjs",
    entryFileNames: "[name].cjs",
    chunkFileNames: "[name].cjs",
    codeSplitting: { groups: [{ name: (path) => (workers.has(path) ? null : packageChunkOf(path)), debugName: "package" }] },
    dynamicImportInCjs: false,
  });
  await build.close();
}

/**
 * Worker threads start from a file: `new URL("./x.js", import.meta.url)` becomes a chunk of its own.
 * @param {Set<string>} workers  Paths, added as they are found.
 * @returns {import("rolldown").Plugin}
 */
function findWorkers(workers) {
  return {
    name: "workers",
    transform(code, id) {
      return code.replaceAll(/new URL\("(\.{1,2}\/[^"]+\.js)", import\.meta\.url\)/g, (_, specifier) => {
        const path = resolve(dirname(id), specifier);
        const fileName = `${basename(path, ".js")}.cjs`;
        workers.add(path);
        this.emitFile({ type: "chunk", id: path, fileName });
        return `new URL("./${fileName}", import.meta.url)`;
      });
    },
  };
}

/**
 * One chunk for each package below the command: few files to open. What one command in ten needs is left to the dynamic imports.
 * @param {string} path
 */
function packageChunkOf(path) {
  const [, name, file] = /packages\/([^/]+)\/dist\/(.*)$/.exec(path) ?? [];
  const isSeldom = file === undefined || name === "cli" || file === "entry.js" || file.startsWith("jobs/");
  return isSeldom ? null : name;
}

/**
 * Gives the draft the name that its content asks for.
 * @param {string} draft
 */
function keep(draft) {
  const files = readdirSync(draft).sort();
  const name = hashOf(files.map((file) => join(draft, file)));
  const final = join(OUTPUT, name);
  if (existsSync(final)) rmSync(draft, { recursive: true });
  else renameSync(draft, final);
  return name;
}

/** @param {readonly string[]} files */
function hashOf(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${basename(file)}\n`).update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

/**
 * The previous build stays for the commands that still run.
 * @param {readonly (string | undefined)[]} kept
 */
function removeAllBut(kept) {
  for (const entry of readdirSync(OUTPUT, { withFileTypes: true })) {
    if (entry.isDirectory() && !kept.includes(entry.name)) rmSync(join(OUTPUT, entry.name), { recursive: true });
  }
}
