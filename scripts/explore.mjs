/** `npm run explore -- --scenario NAME …`: long runs of the lab over the sources, in a process of their own. */

import { runFromSources, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  await runFromSources("test/lab/main.ts");
});
