/** `coblock help`: the manual of a command, or all commands. */

import { COMMANDS } from "../command-table.ts";
import { defineCommand, type Command } from "../command.ts";
import { UsageFailure } from "../failure.ts";
import { programOf, type Program } from "../program.ts";
import type { Session } from "../session.ts";

export const command: Command = defineCommand({
  name: "help",
  manual: async () => (await import("../manual/help.ts")).page,
  options: {},
  run: async ({ operands }, session) => {
    const [name, ...more] = operands;
    if (more.length > 0) throw new UsageFailure("help", "Expecting the name of one command");
    if (name === undefined) return printProgramHelp(session.program, session);
    const { program } = programOf(session.program, [name, "--version"]);
    if (program.kind === "qemu-img") return printProgramHelp(program, session);
    if (program.kind === "qemu-io") {
      await session.page((await import("../io/help.ts")).IO_HELP);
      return 0;
    }
    const entry = COMMANDS.get(name);
    if (entry === undefined) throw new UsageFailure(undefined, `Command not found: ${name}`);
    const { textPage } = await import("../manual/text-page.ts");
    const asked = await entry.load();
    await session.page(textPage(asked, await asked.manual(), session));
    return 0;
  },
});

async function printProgramHelp(program: Program, session: Session): Promise<number> {
  const { helpText } = await import("../help.ts");
  await session.page(helpText(program, session.screen));
  return 0;
}
