/** The command behind `npm run stress`: each kind of qcow2 image under load for a while, judged by QEMU. */

import { parseArgs } from "node:util";
import { CONFIGURATIONS } from "./configurations.ts";
import { stress } from "./qcow2-stress.ts";

const USAGE = `usage: npm run stress -- [--configuration NAME] [--seconds N] [--seed S]
  --configuration NAME   ${CONFIGURATIONS.map(({ name }) => name).join(", ")} (default: all)
  --seconds N            how long each (default 60)
  --seed S               (default 1)
`;

const { values } = parseArgs({
  options: {
    configuration: { type: "string" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

async function run(): Promise<void> {
  for (const configuration of CONFIGURATIONS) {
    if (values.configuration !== undefined && configuration.name !== values.configuration) continue;
    const endMs = performance.now() + Number(values.seconds) * 1000;
    try {
      const outcome = await stress({ configuration, seed: Number(values.seed), goesOn: () => performance.now() < endMs });
      process.stdout.write(`${configuration.name}: ${JSON.stringify(outcome)}, 0 errors, 0 leaks\n`);
    } catch (error) {
      process.stdout.write(`${configuration.name} (seed ${values.seed}) FAILED: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

if (values.help) process.stdout.write(USAGE);
else await run();
