/** `npm run docs`: builds the API pages into docs/api; fails on broken links and on public names without a sentence. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runQuietly, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  const docs = join(ROOT, "docs");
  rmSync(join(docs, "api"), { recursive: true, force: true });
  runQuietly("building the API pages", process.execPath, [join(docs, "node_modules/typedoc/bin/typedoc"), "--logLevel", "Warn"], {
    cwd: docs,
  });
});
