import { describe, expect, it } from "vitest";
import { Screen } from "./screen.ts";

function screen(isTTY: boolean, env: Readonly<Record<string, string>> = {}, forPeople: boolean = true): Screen {
  return new Screen({ write: () => {}, isTTY, columns: 80 }, env, forPeople);
}

describe("colours", () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [false, { FORCE_COLOR: "3" }, true],
    [true, { FORCE_COLOR: "0" }, false],
    [false, { CLICOLOR_FORCE: "1" }, true],
    [false, { CLICOLOR_FORCE: "0" }, false],
    [true, { CLICOLOR: "0" }, false],
    [true, { TERM: "dumb" }, false],
    [true, { TERM: "xterm-256color" }, true],
  ])("terminal %s, %j: %s", (isTTY, env, expected) => {
    expect(screen(isTTY, env).hasColours).toBe(expected);
  });

  it("are none, and nothing is laid out, where another program's output is printed", () => {
    const { isTerminal, hasColours } = screen(true, { FORCE_COLOR: "1" }, false);
    expect({ isTerminal, hasColours }).toEqual({ isTerminal: false, hasColours: false });
  });

  it("end where the text ends", () => {
    expect(screen(true).colour("x", 32)).toBe("\u001b[38;5;32mx\u001b[0m");
    expect(screen(false).red("x")).toBe("x");
  });
});

it.each([
  [{}, true],
  [{ LANG: "en_US.UTF-8" }, true],
  [{ LANG: "C" }, false],
  [{ LC_ALL: "de_DE.utf8", LANG: "C" }, true],
  [{ LC_ALL: "C", LANG: "en_US.UTF-8" }, false],
  [{ TERM: "linux" }, false],
])("Unicode by the locale: %j", (env, expected) => {
  expect(screen(true, env).hasUnicode).toBe(expected);
});

it("has a width also where nobody tells it", () => {
  const columns = (told: number | undefined): number =>
    new Screen({ write: () => {}, ...(told === undefined ? {} : { columns: told }) }, {}, true).columns;
  expect([columns(undefined), columns(0), columns(5), columns(132)]).toEqual([80, 80, 20, 132]);
});
