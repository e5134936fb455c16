/** Completion in a real fish, asked by its own command for it. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { shown } from "./shown.ts";

it("offers what fits", async () => {
  const folder = mkdtempSync(join(tmpdir(), "coblock-completion-"));
  try {
    const script = join(folder, "coblock.fish");
    writeFileSync(script, (await shown(["completion", "fish"], { isTTY: false })).stdout);
    writeFileSync(join(folder, "disk.qcow2"), "");
    const cases: Readonly<Record<string, readonly string[]>> = {
      "coblock con": ["convert"],
      "coblock convert --targ": ["--target-format", "--target-image-opts", "--target-is-zero"],
      "coblock convert -O q": ["qcow2", "qed"],
      "coblock convert --target-format=q": ["--target-format=qcow2", "--target-format=qed"],
      "coblock convert -O qcow2 -o cluster_size=64k,clus": ["cluster_size=64k,cluster_size="],
      "coblock create -f qed -o ta": ["table_size="],
      "coblock check -r ": ["all", "leaks"],
      "coblock info dis": ["disk.qcow2"],
      "coblock completion b": ["bash"],
    };
    const asking = `source $argv[1]; for line in $argv[2..-1]; complete -C $line | string replace -r '\\t.*' '' | string join \\x1f; echo; end`;
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", asking, script, ...Object.keys(cases)], {
      encoding: "utf8",
      cwd: folder,
      env: { ...process.env, HOME: folder },
    });
    expect(stderr).toBe("");
    const answers = stdout
      .split("\n")
      .map((line) => line.split("\u001f").filter((word) => word !== ""))
      .filter((words) => words.length > 0);
    for (const [index, [line, expected]] of Object.entries(cases).entries())
      expect([line, [...(answers[index] ?? [])].sort()]).toEqual([line, expected]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
