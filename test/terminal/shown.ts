/** Runs the command as on a terminal: its streams say that they are one. */

import { main } from "@coblock/cli";

interface Shown {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `isTTY: false`: as in a pipe. Colours as `env` says. */
export async function shown(
  words: readonly string[],
  {
    isTTY = true,
    columns = 100,
    env = { NO_COLOR: "1" },
  }: { readonly isTTY?: boolean; readonly columns?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Shown> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await main(words, {
    stdout: { write: (text) => (written.stdout += text), isTTY, columns },
    stderr: { write: (text) => (written.stderr += text), isTTY, columns },
    env,
  });
  return { exitCode, ...written };
}
