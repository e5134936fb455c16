/** What file systems are told of new files (`nocow`, `extent_size_hint`), as qemu-img tells and reports it, on one that refuses it. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const OURS = join(import.meta.dirname, "../../packages/cli/bin/qemu-img");
/** tmpfs, which knows no hints. */
const MEMORY = "/dev/shm";

describe.runIf(existsSync(MEMORY))("on a file system without hints", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(MEMORY, "coblock-hints-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it.each([
    "create -f raw new 1M",
    "create -f raw -o nocow=on new 1M",
    "create -f qcow2 -o nocow=on,extent_size_hint=0 new 1M",
    "create -f qcow2 -o extent_size_hint=1M new 1M",
    "create -f qcow2 -o data_file=data,extent_size_hint=1M new 1M",
    "create -q -f qed -o extent_size_hint=64k new 1M",
    "create -f raw -o extent_size_hint=4294967295 new 1M",
    "create -f raw -o extent_size_hint=4G new 1M",
    "create -f qcow2 -o extent_size_hint=4G new 1M",
    "convert -n -O raw -o extent_size_hint=1M /dev/null new",
    "convert -f raw -O qcow2 -o extent_size_hint=1M /dev/null new",
    "convert -f raw -O raw -o nocow=on /dev/null new",
  ])("%s", (line) => {
    const run = (program: string): object => {
      const { status, stdout, stderr } = spawnSync(program, line.split(" "), { cwd: folder, encoding: "utf8" });
      const files = readdirSync(folder);
      for (const file of files) rmSync(join(folder, file));
      return { status, stdout, stderr, files };
    };
    expect(run(OURS)).toEqual(run("qemu-img"));
  });
});
