/** An image that somebody else holds: the real qemu-img and ours say the same of it, whoever holds it. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { main } from "@coblock/cli";
import { qcow2Driver } from "@coblock/qcow2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

beforeAll(() => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@held.qcow2", "1M");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-b", "held.qcow2", "-F", "qcow2", "@above.qcow2");
  bench.qemuImg("create", "-q", "-f", "raw", "@free.raw", "1M");
});
afterAll(() => bench[Symbol.dispose]());

/** Lines that the lock is in the way of, or that `-U` lets by. */
const LINES = [
  "info @held.qcow2",
  "info -U @held.qcow2",
  "check -r all @held.qcow2",
  "compare @free.raw @held.qcow2",
  "convert -O qcow2 @free.raw @held.qcow2",
  "convert -n -O qcow2 @free.raw @held.qcow2",
  "create -f qcow2 @held.qcow2 1M",
  "resize @held.qcow2 2M",
  "snapshot -c x @held.qcow2",
  "rebase -u -b '' @held.qcow2",
  "rebase -b '' @above.qcow2",
  "commit @above.qcow2",
  "amend -o compat=0.10 @held.qcow2",
  "bitmap --add @held.qcow2 b",
  "dd if=@free.raw of=@held.qcow2",
  "map @above.qcow2",
];

async function ours(words: readonly string[]): Promise<object> {
  const written = { stdout: "", stderr: "" };
  const host = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  };
  return { exitCode: await main(words, host, { kind: "qemu-img", name: "qemu-img" }), ...written };
}

async function sameAsTheirs(line: string): Promise<void> {
  const words = wordsOf(line).map((word) => word.replaceAll("@", `${bench.folder}/`));
  const { status, stdout, stderr } = spawnSync("qemu-img", words, { encoding: "utf8" });
  expect(await ours(words)).toEqual({ exitCode: status, stdout, stderr });
}

describe("held by the real qemu-io", () => {
  let holder: ChildProcess;
  beforeAll(async () => {
    holder = spawn("qemu-io", ["-f", "qcow2", bench.path("held.qcow2")], { stdio: ["pipe", "pipe", "inherit"] });
    holder.stdin?.write("length\n");
    // It answers when the image is open.
    if (holder.stdout !== null) await once(holder.stdout, "data");
  });
  afterAll(async () => {
    holder.stdin?.end();
    await once(holder, "close");
  });
  it.each(LINES)("%s", sameAsTheirs);
});

describe("held by ours", () => {
  let graph: BlockGraph;
  beforeAll(async () => {
    graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver] });
    await graph.open(bench.path("held.qcow2"));
  });
  afterAll(() => graph[Symbol.asyncDispose]());
  it.each(LINES)("%s", sameAsTheirs);
});
