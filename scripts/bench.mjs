/** `npm run bench -- [ROW] [PAIRS]`: what is built, measured beside the real tools. Rows are chosen by a part of their name. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT, runScript, StepError } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  const words = [join(ROOT, "bench/bench.mjs"), ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, words, { stdio: "inherit" });
  if (status !== 0) throw new StepError(`the measuring ended with ${status}`);
});
