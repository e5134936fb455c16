/** `npm start`: sets the checkout up, then takes the guided tour, or runs the tool with the arguments that were given. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  const args = process.argv.slice(2);
  if (args.length === 0) await import("./tour.mjs");
  else runTool(args);
});

/**
 * In this very process, so that streams, signals and the exit code are the tool's own. npm changes to the checkout's top folder:
 * paths are meant from where the user stands.
 * @param {readonly string[]} args
 */
function runTool(args) {
  if (process.env["npm_lifecycle_event"] === "start") process.chdir(process.env["INIT_CWD"] ?? ".");
  const launcher = join(ROOT, "packages/cli/bin/coblock");
  process.argv = [process.execPath, launcher, ...args];
  createRequire(import.meta.url)(launcher);
}
