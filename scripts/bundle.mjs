/**
 * Makes the command start fast: a CommonJS file with the code of the command that has to answer first, one with all the rest, which is
 * loaded when something of it is asked for, and beside each what V8 compiled it to. Worker threads get a file each.
 *
 * In packages/cli/bundle, `<hash>/` holds one build and never changes, and `current.json` names the newest: a command that runs
 * while another one builds finds what it began with.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { ROOT, runQuietly } from "./command.mjs";

const CLI = join(ROOT, "packages/cli");
const MAIN = join(CLI, "dist/main.js");
const OUTPUT = join(CLI, "bundle");
const CURRENT = join(OUTPUT, "current.json");

/** Loaded from node_modules when needed: they find binaries beside themselves. */
const EXTERNAL = ["koffi"];

/** What `info` imports of a qcow2 image in a file, as it goes: with all that these import, the code that starts. */
const STARTS_WITH = [
  "cli/dist/main.js",
  "cli/dist/commands/info.js",
  "core/dist/drivers/file/file-driver.js",
  "core/dist/drivers/raw/raw-driver.js",
  "qcow2/dist/image/open.js",
].map((path) => join(ROOT, "packages", path));

/** When one of these changes, so does the bundle. */
const MAKERS = [import.meta.filename, join(ROOT, "scripts/compile-bundle.mjs"), join(CLI, "bin/start.cjs")];

/** @typedef {import("../packages/cli/bin/start.cjs").Current} Current */

/** @type {typeof import("../packages/cli/bin/start.cjs")} */
const { thisNode } = createRequire(import.meta.url)(join(CLI, "bin/start.cjs"));

/**
 * Bundles, unless there is a bundle that this Node made from the compiled packages as they are.
 * @param {readonly string[]} packages  Folders, from the top.
 */
export async function bundleIfStale(packages) {
  const koffi = versionOfKoffi();
  const wanted = { koffi, builtBy: `${thisNode()} ${hashOf(MAKERS)}`, inputs: describeInputs(packages) };
  const previous = readCurrent();
  if (previous !== undefined && JSON.stringify({ ...previous, directory: "" }) === JSON.stringify({ directory: "", ...wanted })) return;

  const draft = join(OUTPUT, "draft");
  rmSync(draft, { recursive: true, force: true });
  await writeFiles(draft);
  runQuietly(undefined, process.execPath, [join(ROOT, "scripts/compile-bundle.mjs"), draft, koffi]);
  const directory = keep(draft);
  writeFileSync(`${CURRENT}.new`, JSON.stringify({ directory, ...wanted }));
  renameSync(`${CURRENT}.new`, CURRENT);
  removeAllBut([directory, previous?.directory]);
}

/** The one that the command asks for. */
function versionOfKoffi() {
  return JSON.parse(readFileSync(join(CLI, "package.json"), "utf8")).optionalDependencies.koffi;
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
async function writeFiles(folder) {
  // Grows while it is walked: the files that start a worker are found as they are bundled.
  const entries = new Set([MAIN]);
  for (const entry of entries) {
    const chunks = await bundle(entry, entries);
    if (entry !== MAIN) {
      for (const { code } of chunks) writeFileSync(join(folder, bundledName(entry)), code);
      continue;
    }
    const first = chunks.filter(({ fileName }) => isImportedBy(bundledName(MAIN), fileName, chunks));
    const others = chunks.filter((chunk) => !first.includes(chunk));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, bundledName(MAIN)), inOneFile(first));
    for (const chunk of others) writeFileSync(join(folder, chunk.fileName), inOneFile([chunk]));
  }
}

/** @typedef {{ readonly fileName: string, readonly code: string, readonly imports: readonly string[] }} Chunk */

/**
 * @param {string} entry
 * @param {Set<string>} entries
 * @returns {Promise<Chunk[]>}
 */
async function bundle(entry, entries) {
  const { rolldown } = await import("rolldown");
  const plugins = [findWorkers(entries), loadNodeLate()];
  const groups = [
    { name: "start", test: (/** @type {string} */ id) => STARTS_WITH.includes(id), priority: 2 },
    { name: "rest", priority: 1 },
  ];
  const build = await rolldown({
    input: entry,
    platform: "node",
    external: EXTERNAL,
    plugins,
    preserveEntrySignatures: "allow-extension",
    // What is imported in both ways is in the file anyway.
    checks: { ineffectiveDynamicImport: false },
  });
  const { output } = await build.generate({
    format: "cjs",
    codeSplitting: entry === MAIN ? { groups } : false,
    entryFileNames: bundledName(entry),
    chunkFileNames: "[name].cjs",
    dynamicImportInCjs: false,
    // Names stay, for the stacks that COBLOCK_DEBUG shows.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
  await build.close();
  return output.flatMap((part) => (part.type === "chunk" ? [{ ...part, code: escapeBeyondAscii(part.code) }] : []));
}

/**
 * Whether `importer` cannot run without `fileName`.
 * @param {string} importer
 * @param {string} fileName
 * @param {readonly Chunk[]} chunks
 * @returns {boolean}
 */
function isImportedBy(importer, fileName, chunks) {
  const { imports = [] } = chunks.find((chunk) => chunk.fileName === importer) ?? {};
  return importer === fileName || imports.some((name) => isImportedBy(name, fileName, chunks));
}

/**
 * An object of functions by the names of the chunks, as Node makes a function of each CommonJS module: then nobody has to put them
 * together at each start.
 * @param {readonly Chunk[]} chunks
 */
function inOneFile(chunks) {
  const functions = chunks.map(
    ({ fileName, code }) => `"./${fileName}":function (exports, require, module, __filename, __dirname) {${code}\n}`,
  );
  return `({${functions.join(",\n")}})`;
}

/** @param {string} path */
function bundledName(path) {
  return `${basename(path, ".js")}.cjs`;
}

/**
 * Worker threads start from a file: `new URL("./x.js", import.meta.url)` becomes the file that x.js is bundled into.
 * @param {Set<string>} entries  Paths, added as they are found.
 * @returns {import("rolldown").Plugin}
 */
function findWorkers(entries) {
  return {
    name: "workers",
    transform(code, id) {
      return code.replaceAll(/new URL\("(\.{1,2}\/[^"]+\.js)", import\.meta\.url\)/g, (_, specifier) => {
        const path = resolve(dirname(id), specifier);
        entries.add(path);
        return `new URL("./${bundledName(path)}", import.meta.url)`;
      });
    },
  };
}

/** Modules of Node's that every command needs, or that are there before any code of ours. */
const EAGER_MODULES = ["diagnostics_channel", "events", "fs", "os", "path", "util"];

/**
 * Other modules of Node's are loaded by the first use of what they export, not with the bundle: that is a third of its start.
 * @returns {import("rolldown").Plugin}
 */
function loadNodeLate() {
  return {
    name: "load-node-late",
    renderChunk(code) {
      let result = code;
      for (const [declaration, variable = "", module = ""] of code.matchAll(/^let (node_\w+) = require\("node:([\w/]+)"\);$/gm)) {
        // Used as a whole somewhere, and not only by its members.
        const isWhole = [...code.matchAll(new RegExp(`\\b${variable}\\b(?!\\.)`, "g"))].length > 1;
        if (isWhole || EAGER_MODULES.includes(module)) continue;
        const lazy = `let ${variable}_loaded;\nfunction ${variable}() { return ${variable}_loaded ??= require("node:${module}"); }`;
        // In `new f().Name()` the function would be what is made anew.
        const made = new RegExp(`\\bnew\\s+${variable}\\.([\\w.]+)`, "g");
        const uses = new RegExp(`\\b${variable}\\.`, "g");
        result = result.replace(declaration, "").replaceAll(made, `new (${variable}().$1)`).replaceAll(uses, `${variable}().`);
        result = `${lazy}\n${result}`;
      }
      return result;
    },
  };
}

/**
 * V8 keeps a source of bytes as it is read, and takes twice as long for any other. No raw template of the sources has other characters.
 * @param {string} code
 */
function escapeBeyondAscii(code) {
  return code.replaceAll(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
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

/** All but the newest. */
export function removeOldBundles() {
  removeAllBut([readCurrent()?.directory]);
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
