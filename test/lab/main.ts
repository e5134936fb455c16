/** The command behind `npm run explore`: in this process or, with a protection taken out of the sources, in one of its own. */

import { parseArgs } from "node:util";

const words = process.argv.slice(2);
const { mutation: name } = parseArgs({ args: words, strict: false, options: { mutation: { type: "string" } } }).values;
if (typeof name === "string") {
  const [{ mutationOf }, { exploreMutated }] = await Promise.all([import("./mutations.ts"), import("./mutated.ts")]);
  const mutation = mutationOf(name);
  process.stdout.write(`mutation ${name}: ${mutation.about}\n`);
  process.exitCode = (await exploreMutated(mutation, words)) ?? 1;
} else await import("./command.ts");
