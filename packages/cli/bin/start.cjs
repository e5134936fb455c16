/**
 * What every command in this folder does: runs the bundle that scripts/bundle.mjs made, with V8's compiled form of it, or the compiled
 * modules where they are newer. All of start-up goes through here, and each file more would take half a millisecond: keep it short, and one.
 */
"use strict";

const { existsSync, readFileSync, statSync } = require("node:fs");
const { basename, dirname, join } = require("node:path");
const { Script } = require("node:vm");

const HOME = join(__dirname, "../bundle");
const MUSL_LOADERS = ["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];

/** As the program `kind`. @param {"coblock" | "qemu-img" | "qemu-io" | "qemu-nbd"} kind */
exports.start = async function start(kind) {
  const bundle = findBundle();
  const loaded = bundle === undefined ? undefined : loadBundle(bundle);
  const { main, processHost } = loaded?.exports ?? (await import("../dist/main.js"));
  // A link keeps its own name here.
  const name = basename(process.argv[1] ?? kind);
  process.exitCode = await main(process.argv.slice(2), processHost(), { kind, name });
  const fresh = [...(loaded?.scripts ?? [])].filter(([, script]) => script.cachedDataRejected === undefined);
  if (fresh.length > 0) require("./keep-compiled.cjs").keepCompiled(fresh, compiledName);
};

/**
 * `inputs`: what the bundle was made from, as paths relative to `bundle/` with their modification times in milliseconds. `koffi`: the
 * version that it was made for.
 * @typedef {{ readonly directory: string, readonly builtBy: string, readonly koffi: string,
 *   readonly inputs: readonly (readonly [path: string, modifiedMs: number])[] }} Current
 */

/**
 * The folder of the bundle, if there is one that is as new as the compiled packages. Where those are not there (a published package),
 * nothing can be newer.
 * @returns {{ folder: string, koffi: string } | undefined}
 */
function findBundle() {
  const text = readIfThere(join(HOME, "current.json"));
  if (text === undefined) return undefined;
  const current = /** @type {Current} */ (JSON.parse(text.toString("utf8")));
  for (const [path, modifiedMs] of current.inputs) {
    const found = statSync(join(HOME, path), { throwIfNoEntry: false });
    if (found !== undefined && found.mtimeMs !== modifiedMs) return undefined;
  }
  return { folder: join(HOME, current.directory), koffi: current.koffi };
}

/**
 * Runs the bundle in `folder` as Node runs a CommonJS module, and what else is in the folder when it is asked for. `scripts` grows as
 * files are loaded.
 * @param {{ folder: string, koffi: string }} bundle
 * @returns {{ exports: Record<string, any>, scripts: Map<string, Script> }}
 */
function loadBundle({ folder, koffi }) {
  /** @type {Map<string, Script>} */
  const scripts = new Map();
  /** @type {Record<string, any>} */
  const functions = {};
  /** @type {Map<string, { exports: Record<string, any> }>} */
  const modules = new Map();
  /** @param {string} name */
  const requireHere = (name) => {
    if (name === "koffi") return loadKoffi(koffi);
    if (!name.startsWith("./")) return require(name);
    let module = modules.get(name);
    if (module !== undefined) return module.exports;
    const run = functions[name] ?? Object.assign(functions, runScript(folder, name, scripts))[name];
    module = { exports: {} };
    modules.set(name, module);
    run(module.exports, requireHere, module, join(folder, name), folder);
    return module.exports;
  };
  return { exports: requireHere("./main.cjs"), scripts };
}
exports.loadBundle = loadBundle;

/**
 * @param {string} folder
 * @param {string} name
 * @param {Map<string, Script>} scripts
 */
function runScript(folder, name, scripts) {
  const path = join(folder, name);
  // A function in ASCII, as scripts/bundle.mjs leaves it: V8 takes it byte for byte.
  const source = readFileSync(path, "latin1");
  // Compiled code keeps the name that it was compiled under: one that is right wherever the bundle goes.
  const script = new Script(source, { filename: join("coblock", name), cachedData: readIfThere(compiledName(path)) });
  scripts.set(path, script);
  return script.runInThisContext();
}

/**
 * Where the compiled form of a file is for this Node.
 * @param {string} path
 */
function compiledName(path) {
  return `${path}.${thisNode()}.v8`;
}
exports.compiledName = compiledName;

/**
 * Tells this executable of Node from all others. V8 passes over compiled code of another version of its own, but not of another Node with
 * the same V8, differently patched: 20.19.0 crashes with what 20.20.2 compiled.
 */
function thisNode() {
  const found = statSync(process.execPath, { throwIfNoEntry: false });
  return found === undefined ? "gone" : `${process.version}-${found.size}-${Math.trunc(found.mtimeMs)}`;
}
exports.thisNode = thisNode;

/**
 * koffi finds its native part by means that take a tenth of the start.
 * @param {string} version
 */
function loadKoffi(version) {
  const path = nativeKoffi();
  /** @type {{ exports: { version?: string } }} */
  const native = { exports: {} };
  try {
    if (path !== undefined) process.dlopen(native, path);
  } catch {
    // koffi says why, or knows another way.
  }
  return native.exports.version === version ? native.exports : require("koffi");
}

/**
 * Where npm and pnpm put the native part of the koffi that `require` would find: beside it. There is another one for musl.
 * @returns {string | undefined}
 */
function nativeKoffi() {
  const { platform, arch } = process;
  if (platform !== "linux" || MUSL_LOADERS.some((path) => existsSync(path))) return undefined;
  for (let folder = join(__dirname, ".."), below = ""; folder !== below; [folder, below] = [dirname(folder), folder]) {
    const koffi = `${folder}/node_modules/koffi`;
    // The dots are for the system: where koffi is a link, they stand for what is around that.
    const native = `${koffi}/../@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`;
    if (existsSync(koffi)) return existsSync(native) ? native : undefined;
  }
  return undefined;
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
