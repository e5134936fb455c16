/** What a person at a terminal gets, and a pipe does not. */

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shown } from "./shown.ts";

let folder = "";
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "coblock-terminal-"));
  await make("create", "-q", "-f", "qcow2", path("base.qcow2"), "64M");
  await make("create", "-q", "-f", "qed", "-b", path("base.qcow2"), "-F", "qcow2", path("middle.qed"));
  await make("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", "-b", path("middle.qed"), "-F", "qed", path("top.qcow2"));
  await make("create", "-q", "-u", "-f", "qcow2", "-b", path("gone.qcow2"), "-F", "qcow2", path("orphan.qcow2"), "1M");
  await make("snapshot", "-c", "first", path("top.qcow2"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function make(...words: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await shown(words, { isTTY: false });
  if (exitCode !== 0) throw new Error(stderr);
}

describe("info --backing-chain", () => {
  it("is a table", async () => {
    const { exitCode, stdout } = await shown(["info", "--backing-chain", path("top.qcow2")], { columns: 200 });
    const lines = stdout.split("\n");
    expect(exitCode).toBe(0);
    expect(lines[0]).toMatch(/^ +format +virtual size +disk size +cluster +flags +file$/);
    expect(lines[1]).toMatch(/^0 {2}qcow2 +64 MiB .* 64 KiB +snapshots=1 lazy-refcounts +\/.*top\.qcow2$/);
    expect(lines[2]).toMatch(/^1 {2}qed +64 MiB .*middle\.qed$/);
    expect(lines[3]).toMatch(/^2 {2}qcow2 .* - +\/.*base\.qcow2$/);
    expect(lines).toHaveLength(5);
  });

  it("keeps names of files whole on a narrow terminal, in lines of their own", async () => {
    const { stdout } = await shown(["info", "--backing-chain", path("top.qcow2")], { columns: 60 });
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/flags$/);
    expect(lines[1]).toMatch(/^0 {2}qcow2 .* lazy-refcounts$/);
    expect(lines[2]).toBe(`   ${path("top.qcow2")}`);
    expect(lines).toHaveLength(8);
  });

  it("is qemu-img's text in a pipe, where it is asked for, and under that name", async () => {
    const words = ["info", "--backing-chain", path("top.qcow2")];
    const { stdout } = await shown(words, { isTTY: false });
    expect(stdout).toMatch(/^image: .*\nfile format: qcow2\n/);
    expect((await shown([...words, "--output=human"])).stdout).toBe(stdout);
    expect((await shown(["img", ...words])).stdout).toBe(stdout);
  });

  it("shows as much of the chain as there is, and what can be done", async () => {
    const { exitCode, stdout, stderr } = await shown(["info", "--backing-chain", path("orphan.qcow2")]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/\n0 {2}qcow2 .*orphan\.qcow2\n$/);
    expect(stderr).toMatch(
      /^coblock: Could not open '.*gone\.qcow2': No such file or directory\n.*\n {2}if the backing file was moved: coblock rebase -u /,
    );
  });
});

describe("map --draw", () => {
  it("draws on the terminal, and in a pipe without colour", async () => {
    const words = ["map", "--draw", path("top.qcow2")];
    const colours = await shown(words, { env: {} });
    expect(colours.stdout).toContain("\u001b[38;5;");
    const plain = await shown(words, { isTTY: false, env: {} });
    expect(plain).toMatchObject({ exitCode: 0, stderr: "" });
    expect(plain.stdout).toMatch(/ \(qcow2, 3 layers\): 64 MiB as a guest reads it/);
    expect(plain.stdout).not.toContain("\u001b");
  });

  it("writes SVG into a file, and to standard output", async () => {
    expect((await shown(["map", `--draw=${path("x.svg")}`, path("top.qcow2")])).exitCode).toBe(0);
    const { stdout } = await shown(["map", "--draw", "--output=svg", path("top.qcow2")]);
    expect(readFileSync(path("x.svg"), "utf8")).toBe(stdout);
    expect(stdout).toMatch(/^<svg [^]*<\/svg>\n$/);
  });

  it("never writes over an image", async () => {
    const before = readFileSync(path("top.qcow2"));
    const { exitCode, stderr } = await shown(["map", `--draw=${path("top.qcow2")}`, path("top.qcow2")]);
    expect([exitCode, stderr]).toEqual([1, `coblock: --draw writes SVG: '${path("top.qcow2")}' does not end in .svg\n`]);
    expect(readFileSync(path("top.qcow2")).equals(before)).toBe(true);
  });

  it.each([["--draw", "--output=json"], ["--draw=/nonexistent/x.svg"], ["--draw", "-s", "1T"]])("refuses %j", async (...words) => {
    const { exitCode, stderr } = await shown(["map", ...words, path("top.qcow2")], { isTTY: false });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^coblock: [^\n]+\n$/);
  });

  it("is not there under the name qemu-img", async () => {
    const { exitCode, stderr } = await shown(["img", "map", "--draw", path("top.qcow2")]);
    expect([exitCode, stderr]).toEqual([1, "qemu-img: unrecognized option '--draw'\nTry 'qemu-img --help' for more information\n"]);
    expect(existsSync("--draw")).toBe(false);
  });
});

describe("what to try next", () => {
  it.each([
    [["covnert"], /^coblock: Command not found: covnert\n {2}did you mean convert\?\n {2}coblock --help lists the commands\n$/],
    [
      ["convert", "--compless"],
      /unrecognized option '--compless'\n {2}did you mean --compress\?\n {2}coblock convert --help tells all of it\n$/,
    ],
    [["create", "-f", "qcwo2", "x", "1M"], /'qcwo2'\n {2}did you mean qcow2\?\n {2}formats: .*qed/],
    [["create", "-f", "qcow2", "-o", "clustersize=1M", "x", "1M"], /\n {2}coblock create -f qcow2 -o help lists what it creates with\n$/],
    [["snapshot", "-a", "none", "@top.qcow2"], /there is no snapshot 'none'\n {2}coblock snapshot -l IMAGE lists them\n$/],
    [["bitmap", "--remove", "@top.qcow2", "none"], /'none' not found\n {2}coblock info IMAGE lists them\n$/],
    [["info", "some:disk.qcow2"], /Unknown protocol 'some'\n {2}a file whose name has a colon: \.\/some:disk\.qcow2\n$/],
    [["info", "@tip.qcow2"], /No such file or directory\n {2}did you mean \/.*\/top\.qcow2\?\n$/],
    [["info", "-f", "qcow2", "@middle.qed"], /magic[^\n]*\n {2}without -f the format is told/],
    [
      ["map", "@orphan.qcow2"],
      /\n {2}coblock info IMAGE tells which backing file it names, .*\n {2}if the backing file was moved: coblock rebase -u/,
    ],
  ])("%j", async (words, expected) => {
    const placed = words.map((word) => word.replace("@", `${folder}/`));
    const { exitCode, stderr } = await shown(placed);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(expected);
    const piped = await shown(placed, { isTTY: false });
    expect(piped.stderr).toBe(`${stderr.split("\n")[0]}\n`);
    expect((await shown(["img", ...placed])).stderr).not.toContain("did you mean");
  });

  it("says how a file is named that begins with a dash", async () => {
    writeFileSync(path("-dash.raw"), "");
    const before = process.cwd();
    process.chdir(folder);
    try {
      expect((await shown(["info", "-dash.raw"])).stderr).toContain("a file whose name begins with a dash: ./-dash.raw\n");
    } finally {
      process.chdir(before);
    }
  });

  it("refuses names that Node cannot pass on, as every program", async () => {
    for (const program of [[], ["img"], ["io"]]) {
      const { exitCode, stderr } = await shown([...program, "info", "bad\ufffd.raw"]);
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining("has bytes that are not UTF-8")]);
    }
  });

  it("says in red who speaks", async () => {
    const { stderr } = await shown(["covnert"], { env: {} });
    expect(stderr).toMatch(/^\u001b\[1;31mcoblock: \u001b\[0mCommand not found/);
  });

  it("names who has an image open", async () => {
    const holder = await hold(path("base.qcow2"));
    try {
      const { exitCode, stderr } = await shown(["check", path("base.qcow2")]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(new RegExp(`\\n {2}open in \\S+, process ${holder.pid}\\n {2}-U opens it all the same`));
    } finally {
      holder.kill("SIGKILL");
    }
  });
});

/** Another process that may write to the image. */
async function hold(image: string): Promise<ChildProcess> {
  const holder = spawn("qemu-io", ["-f", "qcow2", image], { stdio: ["pipe", "pipe", "inherit"] });
  holder.stdin.write("length\n");
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  return holder;
}

describe("help", () => {
  it("fits the terminal", async () => {
    for (const columns of [60, 80, 200]) {
      const { stdout } = await shown(["convert", "--help"], { columns });
      const own = stdout.split("\n").filter((line) => !/^(?:usage:| {2}coblock )/.test(line));
      expect(Math.max(...own.map((line) => line.length))).toBeLessThanOrEqual(Math.min(columns, 100) + 20);
    }
  });

  it.each([["help"], ["--help"]])("%s tells all groups and first steps", async (word) => {
    const { stdout } = await shown([word], { isTTY: false });
    for (const title of ["Look at an image", "First steps", "Formats"]) expect(stdout).toContain(title);
  });

  it("of a command is the same by both ways", async () => {
    expect((await shown(["help", "map"])).stdout).toBe((await shown(["map", "--help"])).stdout);
    expect((await shown(["help", "mop"])).stderr).toContain("did you mean map?");
    const inPipe = async (...words: readonly string[]): Promise<string> => (await shown(words, { isTTY: false })).stdout;
    for (const name of ["nbd", "completion"]) expect(await inPipe("help", name)).toBe(await inPipe(name, "--help"));
    for (const program of ["img", "io"]) expect(await inPipe("help", program)).toBe(await inPipe(program, "--help"));
  });

  it("of qemu-img leaves out what that does not have", async () => {
    const { stdout } = await shown(["img", "--help"]);
    expect(stdout).not.toMatch(/completion|inspect|NO_COLOR/);
    expect((await shown(["img", "map", "--help"])).stdout).not.toContain("--draw[");
  });
});
