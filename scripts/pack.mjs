/** `npm run pack -- [FOLDER]`: the packages as they are published, as tarballs in FOLDER (default: .cache/packages). */

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { removeOldBundles } from "./bundle.mjs";
import { ROOT, runQuietly, runScript } from "./command.mjs";
import { packageFolders, packageManager, setUp } from "./setup.mjs";

/** What the compiler makes of `name.ts`. */
const COMPILED = /\.(?:js|d\.ts)(?:\.map)?$/;

await runScript(async () => {
  await setUp();
  removeOldBundles();
  const target = resolve(process.argv[2] ?? join(ROOT, ".cache/packages"));
  mkdirSync(target, { recursive: true });
  for (const name of packageFolders()) {
    const folder = join(ROOT, name);
    removeOrphans(folder);
    runQuietly(`packing ${name}`, "npx", ["--yes", packageManager(), "pack", "--pack-destination", target], { cwd: folder });
  }
});

/**
 * What is left of sources that are gone: the compiler only ever adds.
 * @param {string} folder
 */
function removeOrphans(folder) {
  for (const path of readdirSync(join(folder, "dist"), { recursive: true, encoding: "utf8" })) {
    const isOrphan = COMPILED.test(path) && !existsSync(join(folder, "src", path.replace(COMPILED, ".ts")));
    if (isOrphan) rmSync(join(folder, "dist", path));
  }
}
