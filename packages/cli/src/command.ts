/** What a command is: a name, its words, and what it does. */

import { parseCommandLine, type CommandLine, type OptionTable } from "./command-line.ts";
import type { Session } from "./session.ts";

export interface Command {
  /** Answers the exit code; throws CommandFailure, or the BlockError of what it worked on. */
  run(argv: readonly string[], session: Session): Promise<number>;
}

export interface CommandDefinition<Table extends OptionTable> {
  readonly name: string;
  /** Printed by `--help`: one line with all options, then a line or two on each that needs one. */
  readonly help: string;
  readonly options: Table;
  run(line: CommandLine<Table>, session: Session): Promise<number>;
}

export function defineCommand<const Table extends OptionTable>(definition: CommandDefinition<Table>): Command {
  return {
    run: async (argv, session) => {
      const line = parseCommandLine(definition.name, definition.options, argv);
      if (!line.wantsHelp) {
        await session.makeObjects(line.objects);
        return definition.run(line, session);
      }
      session.output.line(definition.help.trim());
      return 0;
    },
  };
}
