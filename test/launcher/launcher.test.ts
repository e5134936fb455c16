/** What bin/coblock starts: the bundle where it is up to date, else the compiled modules. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const BIN = join(import.meta.dirname, "../../packages/cli/bin");

let home = "";

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "coblock-launcher-"));
  cpSync(BIN, join(home, "bin"), { recursive: true });
  write("package.json", `{ "type": "module" }`);
  write("dist/main.js", program("export", "modules"));
});

afterEach(() => rmSync(home, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(join(home, path, ".."), { recursive: true });
  writeFileSync(join(home, path), text);
}

/** Says which form of it was started, and with which words. */
function program(exporting: string, form: string): string {
  return `${exporting} async function main(argv, host) { host.stdout.write(${JSON.stringify(form)} + " " + argv.join(",")); return 7; }`;
}

function writeBundle(): void {
  const inputs = [["../dist/main.js", statSync(join(home, "dist/main.js")).mtimeMs]];
  write("bundle/current.json", JSON.stringify({ directory: "abc", builtBy: "", inputs }));
  write("bundle/abc/main.cjs", `(function (exports) { ${program("exports.main =", "bundle")} })`);
}

function start(...args: string[]): { readonly stdout: string; readonly status: number | null } {
  const { stdout, status } = spawnSync(process.execPath, [join(home, "bin/coblock"), ...args], { encoding: "utf8" });
  return { stdout, status };
}

test("without a bundle: the compiled modules", () => {
  expect(start("info", "a b")).toEqual({ stdout: "modules info,a b", status: 7 });
});

test("with a bundle: the bundle", () => {
  writeBundle();
  expect(start("info", "a b")).toEqual({ stdout: "bundle info,a b", status: 7 });
});

test("with a bundle of older modules: the compiled modules", () => {
  writeBundle();
  utimesSync(join(home, "dist/main.js"), new Date(), new Date(0));
  expect(start()).toEqual({ stdout: "modules ", status: 7 });
});

test("with a bundle alone, as it is published: the bundle", () => {
  writeBundle();
  rmSync(join(home, "dist"), { recursive: true });
  expect(start()).toEqual({ stdout: "bundle ", status: 7 });
});

test("compiled code that V8 does not know is passed over", () => {
  writeBundle();
  write("bundle/abc/main.cjs.v8", "of another version");
  expect(start()).toEqual({ stdout: "bundle ", status: 7 });
});

test("each command says which program it is, and what it was called as", () => {
  write("dist/main.js", "export async function main(argv, host, program) { host.stdout.write(JSON.stringify(program)); return 0; }");
  const link = join(home, "my-io");
  symlinkSync(join(home, "bin/qemu-io"), link);
  const called = (path: string): unknown => JSON.parse(spawnSync(process.execPath, [path], { encoding: "utf8" }).stdout);
  expect(called(link)).toEqual({ kind: "qemu-io", name: "my-io" });
  for (const kind of ["coblock", "qemu-img", "qemu-io"]) expect(called(join(home, "bin", kind))).toEqual({ kind, name: kind });
});
