/** The guided tour: makes a small chain of images with the tool, and shows each command with what it says. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./command.mjs";

const STOPS = [
  { why: "An empty disk of 1 GiB takes next to no space.", command: "create -f qcow2 base.qcow2 1G" },
  { why: "What is it?", command: "info base.qcow2" },
  { why: "An overlay keeps changes apart from its base.", command: "create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2" },
  { why: "The same disk in another format.", command: "convert -O qed overlay.qcow2 copy.qed" },
  { why: "Is every table of it sound?", command: "check copy.qed" },
  { why: "Do the two hold the same bytes?", command: "compare overlay.qcow2 copy.qed" },
];

const folder = mkdtempSync(join(tmpdir(), "coblock-tour-"));
try {
  for (const { why, command } of STOPS) {
    process.stdout.write(`\n# ${why}\n$ coblock ${command}\n`);
    const { status } = spawnSync(process.execPath, [join(ROOT, "packages/cli/bin/coblock"), ...command.split(" ")], { cwd: folder, stdio: "inherit" });
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.stdout.write("\nYour turn: npm start -- --help\n");
