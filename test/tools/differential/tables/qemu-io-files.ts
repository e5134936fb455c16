/** The files that the lines for qemu-io begin with. */

import { execFileSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Raw disks, a qcow2 image over another one, QED, and rules for blkdebug. */
export function makeIoFiles(folder: string): void {
  const image = (...words: readonly string[]): void => void execFileSync("qemu-img", ["create", "-q", ...words], { cwd: folder });
  const fill = (format: string, name: string, ...commands: readonly string[]): void =>
    void execFileSync("qemu-io", ["-f", format, ...commands.flatMap((command) => ["-c", command]), name], { cwd: folder });
  writeFileSync(join(folder, "disk.raw"), pattern(1024 * 1024));
  writeFileSync(join(folder, "odd.raw"), pattern(1000));
  writeFileSync(join(folder, "empty.raw"), "");
  writeFileSync(join(folder, "sparse.raw"), "");
  truncateSync(join(folder, "sparse.raw"), 1024 * 1024);
  image("-f", "qcow2", "base.qcow2", "1M");
  fill("qcow2", "base.qcow2", "write -P 1 0 256k");
  image("-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "disk.qcow2");
  fill("qcow2", "disk.qcow2", "write -P 2 128k 64k", "write -z 512k 64k", "write -P 3 704k 1k");
  image("-f", "qcow2", "new.qcow2", "1M");
  image("-f", "qcow2", "-o", "extended_l2=on,cluster_size=64k", "sub.qcow2", "1M");
  image("-f", "qed", "disk.qed", "1M");
  fill("qed", "disk.qed", "write -P 4 64k 128k");
  writeFileSync(join(folder, "source"), "abc");
  for (const [name, text] of Object.entries(RULES)) writeFileSync(join(folder, name), text);
}

const RULES: Readonly<Record<string, string>> = {
  "states.conf": `[inject-error]\nevent = "read_aio"\nerrno = "28"\nonce = "on"\n\n[set-state]\nevent = "write_aio"\nstate = "1"\nnew_state = "2"\n\n[inject-error]\nevent = "write_aio"\nstate = "2"\nerrno = "5"\nimmediately = "on"\n`,
  "sector.conf": `# a comment\n[inject-error "named"]\nevent = "read_aio"\nsector = "3"\n`,
  "section.conf": "[nonsense]\n",
  "nothing.conf": "nonsense\n",
  "event.conf": '[inject-error]\nevent = "nonsense"\n',
  "no-event.conf": '[inject-error]\nerrno = "5"\n',
  "option.conf": '[inject-error]\nevent = "read_aio"\nnonsense = "x"\n',
  "number.conf": '[inject-error]\nevent = "read_aio"\nerrno = "x"\n',
  "type.conf": '[inject-error]\nevent = "read_aio"\niotype = "x"\n',
  "state.conf": '[set-state]\nevent = "read_aio"\n',
  "blank.conf": '[inject-error]\nevent="read_aio"\n',
};

function pattern(length: number): Buffer {
  return Buffer.alloc(length, Buffer.from(Uint8Array.from({ length: 251 }, (_, index) => index)));
}
