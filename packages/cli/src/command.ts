/** What a command is: a name, its words, and what it does. */

import { parseCommandLine, type CommandLine, type OptionTable } from "./command-line.ts";
import type { ManualPage } from "./manual/page.ts";
import { withExitCode } from "./failure.ts";
import type { Session } from "./session.ts";

export interface Command {
  readonly name: string;
  readonly options: OptionTable;
  readonly manual: () => Promise<ManualPage>;
  /** Answers the exit code; throws CommandFailure, or the BlockError of what it worked on. */
  run(argv: readonly string[], session: Session): Promise<number>;
}

export interface CommandDefinition<Table extends OptionTable> {
  readonly name: string;
  /** Loaded when it is read. */
  readonly manual: () => Promise<ManualPage>;
  readonly options: Table;
  /** Where an object cannot be made; default 1. */
  readonly objectExitCode?: number;
  run(line: CommandLine<Table>, session: Session): Promise<number>;
}

export function defineCommand<const Table extends OptionTable>(definition: CommandDefinition<Table>): Command {
  const { name, options, manual } = definition;
  return {
    name,
    options,
    manual,
    run: async (argv, session) => {
      const line = parseCommandLine(name, options, argv, {
        isQemu: session.program.kind !== "coblock",
        inOrder: session.endsOptionsEarly,
      });
      if (!line.wantsHelp) {
        await session.makeObjects(line.objects).catch((error: unknown) => {
          throw withExitCode(error, definition.objectExitCode ?? 1);
        });
        return definition.run(line, session);
      }
      const { textPage } = await import("./manual/text-page.ts");
      session.output.print(textPage({ name, options }, await manual(), session));
      return 0;
    },
  };
}
