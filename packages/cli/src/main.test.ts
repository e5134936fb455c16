import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "./command-table.ts";
import { main } from "./main.ts";
import { VERSION } from "./version.ts";

async function run(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await main(words, {
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text) },
    env,
  });
  return { exitCode, ...written };
}

describe("words before the command", () => {
  it.each(["-V", "--version"])("%s prints the version of the package", async (word) => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { readonly version: string };
    expect(VERSION).toBe(version);
    expect(await run([word])).toEqual({ exitCode: 0, stdout: `coblock version ${version}\n`, stderr: "" });
  });

  it.each(["-h", "--help"])("%s names every command", async (word) => {
    const { exitCode, stdout } = await run([word]);
    expect(exitCode).toBe(0);
    for (const name of COMMANDS.keys()) expect(stdout).toContain(name);
  });

  it.each([
    [[], "coblock: Not enough arguments (see coblock --help)\n"],
    [["nonsense"], "coblock: Command not found: nonsense\n"],
    [["--nonsense"], "coblock: unrecognized option '--nonsense'\n"],
    [["-T"], "coblock: option requires an argument -- 'T'\n"],
    [["--trace", "nonsense=1"], "coblock: Invalid parameter 'nonsense'\n"],
    [["--trace=events=/nonexistent", "info"], "coblock: /nonexistent: No such file or directory\n"],
    [["dd", "x"], "coblock: unrecognized operand x\n"],
    [["info", "--object", "secret,id=s", "a"], "coblock: Either 'file' or 'data' must be provided\n"],
  ])("%j is refused in one line", async (words, stderr) => {
    expect(await run(words)).toEqual({ exitCode: 1, stdout: "", stderr });
  });
});

describe("every command", () => {
  it.each([...COMMANDS.keys()])("%s has its help", async (name) => {
    for (const word of ["-h", "--help"]) {
      const { exitCode, stdout, stderr } = await run([name, word]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toMatch(new RegExp(`^usage: coblock ${name} [^]*\n$`));
    }
  });

  it.each([...COMMANDS.keys()])("%s names an unknown option", async (name) => {
    // Other words after `nbd` than its own are qemu-nbd's.
    const words = name === "nbd" ? [name, "serve"] : [name];
    expect(await run([...words, "--nonsense"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `coblock: ${name}: unrecognized option '--nonsense'\n`,
    });
  });
});

describe("COBLOCK_DEBUG", () => {
  it("adds the stack and the causes", async () => {
    const quiet = await run(["info", "/nonexistent"]);
    expect(quiet.stderr).toBe("coblock: Could not open '/nonexistent': No such file or directory\n");
    const { stderr } = await run(["info", "/nonexistent"], { COBLOCK_DEBUG: "1" });
    expect(stderr.startsWith(quiet.stderr)).toBe(true);
    expect(stderr).toMatch(/\n +at /);
    expect((await run(["info", "/nonexistent"], { COBLOCK_DEBUG: "0" })).stderr).toBe(quiet.stderr);
  });
});

describe("inspect", () => {
  it("prints the nodes", async () => {
    const { exitCode, stdout } = await run(["inspect", 'json:{"driver":"null","size":1048576}']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ nodes: [{ driver: "null", size: 1_048_576, readOnly: true }] });
  });
});
