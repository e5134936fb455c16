/** `coblock completion`: what bash, zsh or fish needs to complete Coblock's words. */

import { defineCommand, type Command } from "../command.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";

export const command: Command = defineCommand({
  name: "completion",
  manual: async () => (await import("../manual/completion.ts")).page,
  options: {},
  run: async ({ operands }, session) => {
    const [shell, ...more] = operands;
    if (shell === undefined || more.length > 0) throw new UsageFailure("completion", "Expecting the name of one shell");
    const { completionScript, SHELLS } = await import("../completion/script.ts");
    if (!SHELLS.includes(shell)) throw new CommandFailure(`No completion for '${shell}': there is ${SHELLS.join(", ")}`);
    await using graph = session.createGraph();
    session.output.print(await completionScript(shell, graph));
    return 0;
  },
});
