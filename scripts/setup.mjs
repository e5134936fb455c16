/** Makes a checkout ready to run: installs what the lock file pins, compiles and bundles what changed, and writes its man pages. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleIfStale } from "./bundle.mjs";
import { ROOT, runQuietly } from "./command.mjs";
import { withLockFile } from "./lock.mjs";
import { writeManPagesIfStale } from "./man.mjs";

const INSTALL_STAMP = join(ROOT, "node_modules/.coblock-installed");

/** Does nothing that is done already; says on stderr what takes long. */
export async function setUp() {
  await withLockFile(join(ROOT, ".cache/setup.lock"), async () => {
    install();
    compile();
    await bundleIfStale(packageFolders());
    await writeManPagesIfStale();
  });
}

function install() {
  const wanted = manifestHash();
  if (existsSync(INSTALL_STAMP) && readFileSync(INSTALL_STAMP, "utf8") === wanted) return;
  // A fresh machine has npm alone. Its errors are wanted here, whatever .npmrc says; nobody is there to answer a question.
  const env = { ...process.env, npm_config_loglevel: "error" };
  const options = ["--frozen-lockfile", "--reporter=append-only", "--config.confirmModulesPurge=false"];
  runQuietly("installing dependencies", "npx", ["--yes", packageManager(), "install", ...options], { env });
  writeFileSync(INSTALL_STAMP, wanted);
}

/** What decides on the content of the node_modules folders. */
function manifestHash() {
  const files = [
    "package.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    ...workspaceFolders().map((folder) => join(folder, "package.json")),
  ];
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`);
  for (const file of files) hash.update(`\n${file}\n`).update(readFileSync(join(ROOT, file)));
  return hash.digest("hex");
}

/** The pinned pnpm, as npx takes it. */
export function packageManager() {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return /** @type {string} */ (manifest.packageManager);
}

function workspaceFolders() {
  return [...packageFolders(), "docs", "examples", "bench", "test"];
}

/** The published packages, as paths from the top. */
export function packageFolders() {
  return readdirSync(join(ROOT, "packages"))
    .map((name) => join("packages", name))
    .filter((folder) => existsSync(join(ROOT, folder, "package.json")));
}

function compile() {
  const folders = packageFolders();
  const isFirst = folders.some((folder) => !existsSync(join(ROOT, folder, "dist/.tsbuildinfo")));
  runQuietly(isFirst ? "compiling" : undefined, process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-b", ...folders]);
}
