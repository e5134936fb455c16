/** `coblock help`: the manual of a command, or all commands. */

import { COMMANDS } from "../command-table.ts";
import { defineCommand, type Command } from "../command.ts";
import { UsageFailure } from "../failure.ts";

export const command: Command = defineCommand({
  name: "help",
  manual: async () => (await import("../manual/help.ts")).page,
  options: {},
  run: async ({ operands }, session) => {
    const [name, ...more] = operands;
    if (more.length > 0) throw new UsageFailure("help", "Expecting the name of one command");
    if (name === undefined) {
      const { helpText } = await import("../help.ts");
      session.output.print(helpText(session.program, session.screen));
      return 0;
    }
    const entry = COMMANDS.get(name);
    if (entry === undefined) throw new UsageFailure(undefined, `Command not found: ${name}`);
    return (await entry.load()).run(["--help"], session);
  },
});
