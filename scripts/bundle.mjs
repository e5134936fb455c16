/**
 * Makes the command start fast: one CommonJS file with all the code that the command uses, and beside it what V8 compiled it to.
 * What is imported dynamically is in the file as well, and runs when it is asked for. Worker threads get a file each.
 *
 * In packages/cli/bundle, `<hash>/` holds one build and never changes, and `current.json` names the newest: a command that runs
 * while another one builds finds what it began with.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ROOT, runQuietly } from "./command.mjs";

const CLI = join(ROOT, "packages/cli");
const MAIN = join(CLI, "dist/main.js");
const OUTPUT = join(CLI, "bundle");
const CURRENT = join(OUTPUT, "current.json");

/** Loaded from node_modules when needed: they find binaries beside themselves. */
const EXTERNAL = ["koffi"];

/** When one of these changes, so does the bundle. */
const MAKERS = [import.meta.filename, join(ROOT, "scripts/compile-bundle.mjs"), join(CLI, "bin/bundle.cjs")];

/** @typedef {import("../packages/cli/bin/bundle.cjs").Current} Current */

/**
 * Bundles, unless there is a bundle that this Node made from the compiled packages as they are.
 * @param {readonly string[]} packages  Folders, from the top.
 */
export async function bundleIfStale(packages) {
  const wanted = { builtBy: `${process.version} ${hashOf(MAKERS)}`, inputs: describeInputs(packages) };
  const previous = readCurrent();
  if (previous !== undefined && JSON.stringify({ ...previous, directory: "" }) === JSON.stringify({ directory: "", ...wanted })) return;

  const draft = join(OUTPUT, "draft");
  rmSync(draft, { recursive: true, force: true });
  await writeFiles(draft);
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
async function writeFiles(folder) {
  const { rolldown } = await import("rolldown");
  // Grows while it is walked: the files that start a worker are found as they are bundled.
  const entries = new Set([MAIN]);
  for (const entry of entries) {
    const build = await rolldown({ input: entry, platform: "node", external: EXTERNAL, plugins: [findWorkers(entries), loadNodeLate()] });
    await build.write({
      file: join(folder, bundledName(entry)),
      format: "cjs",
      codeSplitting: false,
      dynamicImportInCjs: false,
      // Names stay, for the stacks that COBLOCK_DEBUG shows.
      minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    });
    await build.close();
    const file = join(folder, bundledName(entry));
    const code = escapeBeyondAscii(readFileSync(file, "utf8"));
    writeFileSync(file, entry === MAIN ? `${WRAPPER[0]}${code}\n${WRAPPER[1]}` : code);
  }
}

/** The command's code is a function, as Node makes one of each CommonJS module: then nobody has to put it together at each start. */
const WRAPPER = ["(function (exports, require, module, __filename, __dirname) {", "})"];

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
        const uses = new RegExp(`\\b${variable}\\.`, "g");
        result = result.replace(declaration, "").replaceAll(uses, `${variable}().`).replace(/^/, `${lazy}\n`);
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

/**
 * The previous build stays for the commands that still run.
 * @param {readonly (string | undefined)[]} kept
 */
function removeAllBut(kept) {
  for (const entry of readdirSync(OUTPUT, { withFileTypes: true })) {
    if (entry.isDirectory() && !kept.includes(entry.name)) rmSync(join(OUTPUT, entry.name), { recursive: true });
  }
}
