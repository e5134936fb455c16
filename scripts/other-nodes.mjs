/**
 * `npm run other-nodes`: the tests of what depends on the Node that runs them, under others than this one: its own zlib, zstd and OpenSSL,
 * koffi, threads, compiled code, terminals, and the command as a whole. The executables come from npm and stay in .cache.
 */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ROOT, runQuietly, runScript, StepError } from "./command.mjs";
import { setUp } from "./setup.mjs";

/** The oldest that is supported, and of each later line with long-term support, and the newest line, one. */
const VERSIONS = ["20.19.0", "22.23.3", "24.21.0", "26.10.0"];

const TESTS = [
  "packages/core/src/host",
  "packages/cli/src/terminal",
  "packages/qcow2/src/image/compression.test.ts",
  "packages/luks/src",
  "test/launcher",
  "test/nbd/command.test.ts",
  "test/tools/convert-compressed.test.ts",
];

await runScript(async () => {
  const { platform, arch } = process;
  if (platform !== "linux" || (arch !== "x64" && arch !== "arm64"))
    throw new StepError(`npm has no executable of Node for ${platform}-${arch}`);
  await setUp();
  for (const version of VERSIONS) {
    const bin = fetchNode(`node-linux-${arch}`, version);
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
    runQuietly(`tests under Node ${version}`, join(bin, "node"), ["node_modules/vitest/vitest.mjs", "run", ...TESTS], { env });
  }
});

/**
 * The folder with the executable.
 * @param {string} name
 * @param {string} version
 */
function fetchNode(name, version) {
  const kept = join(ROOT, ".cache/nodes", version);
  if (!existsSync(kept)) {
    const draft = `${kept}.new`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    runQuietly(`Node ${version}`, "npm", ["pack", "--silent", `${name}@${version}`], { cwd: draft });
    for (const archive of readdirSync(draft)) {
      runQuietly(undefined, "tar", ["-xzf", archive, "package/bin/node"], { cwd: draft });
      rmSync(join(draft, archive));
    }
    renameSync(draft, kept);
  }
  return join(kept, "package/bin");
}
