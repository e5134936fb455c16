/** Commands typed at a prompt, or read from a pipe. */

import type { Session } from "../session.ts";
import { Keystrokes } from "./keystrokes.ts";

/** Line by line until the end of the input. On a terminal lines can be edited, and earlier ones come back. */
export async function* promptedLines(session: Session): AsyncGenerator<string> {
  const { input } = session;
  if (input === undefined) return;
  const { createInterface } = await import("node:readline");
  const onTerminal = input.isTTY;
  const output = onTerminal ? session.terminal : undefined;
  const prompt = `${session.program.name}> `;
  const keystrokes = onTerminal ? new Keystrokes(input) : undefined;
  const lines = createInterface({ input: keystrokes ?? input, prompt, ...(output === undefined ? {} : { output }), terminal: onTerminal });
  const ask = (): void => {
    if (onTerminal) return lines.prompt();
    session.output.print(prompt);
    session.output.flush();
  };
  const stop = (): void => lines.close();
  session.signal.addEventListener("abort", stop);
  lines.on("SIGINT", stop);
  try {
    ask();
    for await (const line of lines) {
      yield line;
      ask();
    }
  } finally {
    session.signal.removeEventListener("abort", stop);
    lines.close();
    keystrokes?.destroy();
  }
}
