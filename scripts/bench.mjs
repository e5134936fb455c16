/** `npm run bench -- [ROW] [PAIRS]`: what is built, measured beside the real tools. Rows are chosen by a part of their name. */

import { runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  await import("../bench/bench.mjs");
});
