/** `npm run explore -- --scenario NAME …`: long runs of the lab over the sources, in a process of their own. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT, runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(async () => {
  await setUp();
  const main = join(ROOT, "test/lab/main.ts");
  const hooks = pathToFileURL(join(ROOT, "test/lab/mutate.mjs")).href;
  const child = spawn(
    process.execPath,
    ["--conditions=@coblock/source", "--import", hooks, "--import", "tsx", main, ...process.argv.slice(2)],
    {
      stdio: "inherit",
      cwd: ROOT,
    },
  );
  const code = await new Promise((resolve) => child.once("exit", resolve));
  process.exitCode = typeof code === "number" ? code : 1;
});
