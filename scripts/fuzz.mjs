/** `npm run fuzz`: damaged images by the thousand over the sources, in a process of their own. */

import { runFromSources, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  await runFromSources("test/fuzz/main.ts");
});
