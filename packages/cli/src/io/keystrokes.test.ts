import { once } from "node:events";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { Keystrokes } from "./keystrokes.ts";

const LEFT = "\x1b[D";
const RIGHT = "\x1b[C";

test.each([
  ["letters behind an arrow", `abc${LEFT}X`, "abXc"],
  ["a run of letters in the middle of a line", `read 4096${LEFT.repeat(4)}0 5`, "read 0 54096"],
  ["arrows there and back, and a letter that is taken away", `ab${LEFT.repeat(2)}12${RIGHT}\x7f3${RIGHT}4`, "123b4"],
  ["letters of several bytes", `äß${LEFT}€😀`, "ä€😀ß"],
])("%s, all at once, do what they do one by one", async (_, keys, line) => {
  const terminal = Object.assign(new PassThrough(), { setRawMode: () => {} }) as unknown as NodeJS.ReadStream & PassThrough;
  const keystrokes = new Keystrokes(terminal);
  const lines = createInterface({ input: keystrokes, output: new PassThrough(), terminal: true });
  const typed = once(lines, "line");
  const bytes = Buffer.from(`${keys}\r`);
  // In the middle of a character, too.
  terminal.write(bytes.subarray(0, bytes.length - 3));
  terminal.write(bytes.subarray(bytes.length - 3));
  expect(await typed).toEqual([line]);
  lines.close();
  keystrokes.destroy();
});
