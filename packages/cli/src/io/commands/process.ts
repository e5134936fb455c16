/** Commands for the program itself: `sigraise`, `sleep`, `help`, `quit` and `abort`. */

import { constants } from "node:os";
import { COMMANDS, findCommand } from "../command-table.ts";
import { usageLine, type IoCommand } from "../command.ts";
import { IoFailure } from "../failure.ts";
import { parseNumber } from "../number.ts";

/** Signals are counted from 0 up to here. */
const LAST_SIGNAL = 64;

export const sigraise: IoCommand = {
  name: "sigraise",
  minimum: 1,
  maximum: 1,
  synopsis: "signal",
  summary: "send a signal to the program",
  explanation: `
 Example: 'sigraise 9' ends the program at once, with nothing flushed or closed.
`,
  needs: "nothing",
  run: async ({ shell, operands: [word = ""] }) => {
    const signal = parseNumber(word);
    if (signal > LAST_SIGNAL) throw new IoFailure(`signal argument '${word}' is too large to be a valid signal`);
    shell.session.raise(signal);
    await shell.clock.yield();
  },
};

export const sleep: IoCommand = {
  name: "sleep",
  minimum: 1,
  maximum: 1,
  synopsis: "ms",
  summary: "wait for that many milliseconds",
  needs: "nothing",
  run: ({ shell, operands: [word = ""] }) => {
    if (!/^\+?(?:\d+|0x[0-9a-f]+)$/i.test(word)) throw new IoFailure(`${word} is not a valid number`);
    return shell.sleep(Number(word));
  },
};

export const help: IoCommand = {
  name: "help",
  alias: "?",
  minimum: 0,
  maximum: 1,
  synopsis: "[command]",
  summary: "print what there is",
  needs: "nothing",
  run: async ({ shell, operands: [name] }) => {
    if (name === undefined) {
      for (const command of COMMANDS) shell.print(usageLine(command));
      return shell.print("\nUse 'help commandname' for extended help.\n");
    }
    const command = findCommand(name);
    if (command === undefined) throw new IoFailure(`command ${name} not found`);
    return shell.print(usageLine(command) + (command.explanation === undefined ? "" : `${command.explanation}\n`));
  },
};

export const quit: IoCommand = {
  name: "quit",
  alias: "q",
  minimum: 0,
  synopsis: "",
  summary: "end the program",
  needs: "nothing",
  run: async () => "quit",
};

export const abort: IoCommand = {
  name: "abort",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "end the program as a crash does",
  needs: "nothing",
  run: async ({ shell }) => shell.session.raise(constants.signals.SIGABRT),
};
