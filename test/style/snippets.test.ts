/** The programs that documents print: they compile with the packages as they are. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { FILES, ROOT } from "./source-tree.ts";

/** A snippet may use names that its text has introduced: cannot find name, no value in scope, and what follows from that for types. */
const OF_THE_TEXT = ["TS2304", "TS18004", "TS7006", "TS7031", "TS2307: Cannot find module './"];

test("what begins with an import", () => {
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".cache/snippets-"));
  try {
    const names = FILES.filter((path) => path.endsWith(".md")).flatMap((path) => writeSnippets(folder, path));
    expect(names.length).toBeGreaterThan(12);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings(folder)));
    expect(problemsIn(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function writeSnippets(folder: string, path: string): readonly string[] {
  const snippets = [...readFileSync(join(ROOT, path), "utf8").matchAll(/^```ts\n(import .*?)^```$/gms)];
  return snippets.map(([, code = ""], index) => {
    const name = `${path.replaceAll("/", "-")}-${index}.ts`;
    writeFileSync(join(folder, name), code);
    return name;
  });
}

function settings(folder: string): object {
  const top = relative(folder, ROOT);
  return {
    extends: join(top, "tsconfig.base.json"),
    compilerOptions: {
      composite: false,
      declarationMap: false,
      sourceMap: false,
      isolatedDeclarations: false,
      noEmit: true,
      noUnusedLocals: false,
      paths: { "@coblock/*": [join(top, "packages/*/src/index.ts")], vitest: [join(top, "node_modules/vitest")] },
    },
    include: ["*.ts"],
  };
}

/** Lines of the compiler about the snippets. */
function problemsIn(folder: string): readonly string[] {
  try {
    execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder], { cwd: folder, stdio: "pipe" });
    return [];
  } catch (error) {
    const { stdout } = error as { readonly stdout: Buffer };
    const lines = String(stdout).split("\n");
    return lines.filter((line) => /error TS/.test(line) && !OF_THE_TEXT.some((problem) => line.includes(problem)));
  }
}
