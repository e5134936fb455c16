/** A file system of the kernel on a chain that is served: nbdfuse shows the export as a file, a loop device makes it a disk, and ext4 lives there. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Peers } from "./peers.ts";

/** Built from the sources that are here. */
const COBLOCK = join(import.meta.dirname, "../../packages/cli/bin/coblock");
/** Files to copy: many small ones, some large. */
const FILES = join(import.meta.dirname, "../../packages/core/src");

/** Whether this machine lets its user mount, as root of a whole machine may and as root of most containers may not. */
function mayMount(): boolean {
  const succeeds = (program: string, ...words: readonly string[]): boolean => spawnSync(program, words, { stdio: "ignore" }).status === 0;
  const has = (program: string): boolean => succeeds("sh", "-c", `command -v ${program}`);
  return (
    process.getuid?.() === 0 &&
    existsSync("/dev/fuse") &&
    ["nbdfuse", "losetup", "mkfs.ext4", "unshare"].every(has) &&
    succeeds("losetup", "--find") &&
    succeeds("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
  );
}

/** The export at `socket` as a disk of the kernel; what was mounted is unmounted when it is disposed of, also after a failure. */
class KernelDisk implements AsyncDisposable {
  readonly #peers: Peers;
  readonly #fuse: string;
  readonly folder: string;
  #device: string | undefined;

  constructor(peers: Peers) {
    this.#peers = peers;
    this.#fuse = peers.path("fuse");
    this.folder = peers.path("mounted");
    mkdirSync(this.#fuse);
    mkdirSync(this.folder);
  }

  async attach(socket: string): Promise<string> {
    await this.#peers.appears("nbdfuse", [this.#fuse, "--unix", socket], join(this.#fuse, "nbd"));
    this.#device = (await this.#peers.succeed("losetup", ["--find", "--show", join(this.#fuse, "nbd")])).trim();
    return this.#device;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peers.run("umount", ["--lazy", "--quiet", this.folder]);
    if (this.#device !== undefined) await this.#peers.succeed("losetup", ["--detach", this.#device]);
    await this.#peers.succeed("umount", [this.#fuse]);
  }
}

describe.runIf(mayMount())("ext4 on an overlay that is served", () => {
  it("has what was copied there, also when it is mounted again and in the image; the checks of file system and image find nothing", async () => {
    await using peers = new Peers();
    const digest = (folder: string): Promise<string> =>
      peers.succeed("sh", ["-c", 'cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum', "sh", folder]);
    for (const words of [
      ["create", "-f", "qcow2", "base.qcow2", "256M"],
      ["create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2"],
    ])
      execFileSync("qemu-img", words, { cwd: peers.folder, stdio: "pipe" });
    const server = await peers.serve(COBLOCK, ["nbd", "serve", "-q", "-w", "-k", peers.path("s.sock"), peers.path("top.qcow2")], "s.sock");
    let copied: string;
    {
      await using disk = new KernelDisk(peers);
      const device = await disk.attach(peers.path("s.sock"));
      await peers.succeed("mkfs.ext4", ["-q", "-F", device]);
      await peers.succeed("mount", [device, disk.folder]);
      for (const name of ["one", "two", "three"]) await peers.succeed("cp", ["-a", FILES, join(disk.folder, name)]);
      await peers.succeed("rm", ["-r", join(disk.folder, "two")]);
      await peers.succeed("fstrim", [disk.folder]);
      copied = await digest(disk.folder);
      await peers.succeed("umount", [disk.folder]);
      await peers.succeed("mount", [device, disk.folder]);
      expect(await digest(disk.folder)).toBe(copied);
      await peers.succeed("umount", [disk.folder]);
      await peers.succeed("e2fsck", ["-f", "-n", device]);
    }
    await peers.end(server);
    expect(copied).toContain("./three/");
    expect(copied).not.toContain("./two/");
    await peers.succeed("qemu-img", ["check", peers.path("top.qcow2")]);
    await peers.succeed("qemu-img", ["convert", "-O", "raw", peers.path("top.qcow2"), peers.path("flat.raw")]);
    await peers.succeed("e2fsck", ["-f", "-n", peers.path("flat.raw")]);
    mkdirSync(peers.path("dumped"));
    await peers.succeed("debugfs", ["-R", `rdump /one /three ${peers.path("dumped")}`, peers.path("flat.raw")]);
    expect(await digest(peers.path("dumped"))).toBe(copied);
  });
});
