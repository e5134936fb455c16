import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../command-table.ts";
import { optionEntries, optionLabel } from "./option-entries.ts";
import { GROUPS } from "./program.ts";
import { manPages } from "./roff.ts";

const commands = await Promise.all([...COMMANDS].map(async ([, entry]) => entry.load()));

it("every command is in one group", () => {
  const grouped = GROUPS.flatMap(([, names]) => names);
  expect([...grouped].sort()).toEqual([...COMMANDS.keys()].sort());
});

describe.each(commands.map((command) => [command.name, command] as const))("%s", (name, command) => {
  it("has words for every option, and an argument for each that takes one", async () => {
    const page = await command.manual();
    for (const entry of optionEntries(command.options, page)) {
      expect(entry.help, optionLabel(entry)).not.toBe("");
      expect(entry.argument === undefined, optionLabel(entry)).toBe(entry.spec.kind === "flag");
    }
    expect(Object.keys(page.options).sort()).toEqual(Object.keys(command.options).sort());
  });

  it("has examples of itself, with options that it has", async () => {
    const page = await command.manual();
    expect(page.examples.length).toBeGreaterThan(0);
    const labels = optionEntries(command.options, page).map(optionLabel).join(" ");
    for (const { line } of page.examples) {
      expect(line).toContain(`coblock ${name}`);
      const after = line.slice(line.indexOf(`coblock ${name}`)).replace(/"[^"]*"/g, "");
      for (const [, option = ""] of after.matchAll(/ (--?[a-z][a-z-]*)/gi)) expect(labels).toContain(option);
    }
  });
});

describe("man pages", () => {
  it("are those that the package names", async () => {
    const { man } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly man: readonly string[] };
    expect([...man].sort()).toEqual([...(await manPages()).keys()].map((file) => `./man/${file}`).sort());
  });

  it("have no line that roff would take for a request of its own", async () => {
    for (const [file, text] of await manPages())
      for (const line of text.split("\n")) if (/^[.']/.test(line)) expect(line, file).toMatch(/^\.(?:TH|SH|SS|TP|PP|br|B|BR|I)\b/);
  });
});
