/** `npm run explore -- --scenario NAME …`: long runs of the lab over the sources, in a process of their own. */

import { runFromSources, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  // Before the loader of TypeScript, so that mutations are edits of the sources.
  await runFromSources("test/lab/main.ts", ["test/lab/mutate.mjs"]);
});
