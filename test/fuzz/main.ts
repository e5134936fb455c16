/** The command behind `npm run fuzz`: damaged images by seed, and the same ones in the format's own tool. */

import { parseArgs } from "node:util";
import type { FuzzFormat } from "./fuzz-case.ts";
import { FORMATS, formatOf } from "./formats.ts";

const USAGE = `usage: npm run fuzz -- [--format NAME] [--cases N] [--seed S] [--compare N]
  --format NAME   ${FORMATS.map(({ name }) => name).join(", ")} (default: all)
  --cases N       how many, one for each seed (default: ${FORMATS.map(({ name, cases }) => `${cases.toLocaleString("en")} for ${name}`).join(", ")})
  --seed S        the first seed (default 1)
  --compare N     of those, how many are also given to the format's own tool (default 300)
`;
const MIB = 1024 * 1024;
const PROGRESS = 5000;

const { values } = parseArgs({
  options: {
    format: { type: "string" },
    cases: { type: "string" },
    seed: { type: "string", default: "1" },
    compare: { type: "string", default: "300" },
    help: { type: "boolean", default: false },
  },
});

function count(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`'${text}' is no count`);
  return number;
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

async function fuzz(format: FuzzFormat): Promise<void> {
  const cases = values.cases === undefined ? format.cases : count(values.cases);
  const [first, compared] = [count(values.seed), count(values.compare)];
  const outcomes = { opened: 0, refused: 0, failed: 0 };
  const differences = new Map<string, number>();
  let mostMemory = 0;
  for (let done = 0; done < cases; done++) {
    const fuzzCase = format.makeCase(first + done);
    try {
      outcomes[await format.run(fuzzCase)]++;
      if (done < compared) {
        const difference = (await format.compare(fuzzCase)) ?? "the same";
        differences.set(difference, (differences.get(difference) ?? 0) + 1);
      }
    } catch (error) {
      outcomes.failed++;
      say(`${format.name} ${first + done} FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      say(JSON.stringify(fuzzCase));
    }
    mostMemory = Math.max(mostMemory, process.memoryUsage.rss());
    if ((done + 1) % PROGRESS === 0) say(`${format.name}: ${done + 1} of ${cases}, ${Math.round(mostMemory / MIB)} MiB at the most`);
  }
  for (const [difference, times] of differences) say(`beside the format's own tool: ${difference}: ${times}`);
  say(`${format.name}: ${outcomes.opened} opened, ${outcomes.refused} refused, ${outcomes.failed} failed`);
  if (outcomes.failed > 0) process.exitCode = 1;
}

if (values.help) say(USAGE);
else for (const format of values.format === undefined ? FORMATS : [formatOf(values.format)]) await fuzz(format);
