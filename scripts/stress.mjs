/** `npm run stress`: qcow2 images of many kinds under load over the sources, in a process of their own. */

import { runFromSources, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  await runFromSources("test/stress/main.ts");
});
