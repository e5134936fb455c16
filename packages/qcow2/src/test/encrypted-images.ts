/** Encrypted images for tests, ours and qemu-img's, opened with a secret. */

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { BlockGraph, type DirtyExtent, fileDriver, memoryDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "../index.ts";
import { qemuImg, servedDirty } from "./images.ts";

const PASSPHRASE = "correct horse";
/** Words of qemu-img that make an encrypted image quickly. */
export const QUICK = "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=1";
/** The same for `graph.create`. */
export const QUICK_VALUES = { "encrypt.format": "luks", "encrypt.key-secret": "sec0", "encrypt.iter-time": 1 } as const;

const SECRET = ["--object", `secret,id=sec0,data=${PASSPHRASE}`] as const;

/** Knows the passphrase as `sec0`, and others as they are given. */
export function secretGraph(secrets: Readonly<Record<string, string>> = {}): BlockGraph {
  return new BlockGraph({
    drivers: [fileDriver, memoryDriver, rawDriver, qcow2Driver],
    implicitOpen: "allow",
    secrets: { sec0: PASSPHRASE, ...secrets },
  });
}

/** What opens `file` with the passphrase. */
export function opened(file: string): {
  readonly driver: "qcow2";
  readonly file: string;
  readonly encrypt: { readonly keySecret: "sec0" };
} {
  return { driver: "qcow2", file, encrypt: { keySecret: "sec0" } };
}

/** Runs a command of `qemu-img` that has the passphrase; `@file` stands for the image, opened with it. */
export function secretQemuImg(command: string, ...words: string[]): string {
  return qemuImg(command, ...SECRET, "--image-opts", ...words.map(imageWords));
}

/** A new encrypted image by `qemu-img`. */
export function qemuCreateEncrypted(file: string, size: number | string, options: string): string {
  derivingQemuImg("create", "-q", ...SECRET, "-f", "qcow2", "-o", options, file, String(size));
  return file;
}

/** Runs `qemu-img`, which gives up now and then when it cannot measure how fast it derives keys. */
export function derivingQemuImg(...words: string[]): string {
  for (;;) {
    const { status, stdout, stderr } = spawnSync("qemu-img", words, { encoding: "utf8" });
    if (status === 0) return stdout;
    if (!stderr.includes("Unable to get accurate CPU usage")) throw new Error(stderr);
  }
}

/** What changed by a bitmap of an encrypted image. */
export function secretQemuDirty(file: string, bitmap: string): DirtyExtent[] {
  return servedDirty(file, bitmap, (served) => [...SECRET, "--image-opts", imageWords(`@${served}`)]);
}

/** Runs commands of `qemu-io`. */
export function secretQemuIo(file: string, ...commands: string[]): void {
  const words = commands.flatMap((command) => ["-c", command]);
  const output = execFileSync("qemu-io", [...SECRET, ...words, "--image-opts", imageWords(`@${file}`)], {
    encoding: "utf8",
    stdio: "pipe",
  });
  if (output.includes("failed")) throw new Error(output);
}

/** The whole disk, as `qemu-img` deciphers it. */
export function secretContent(file: string): Buffer {
  const target = `${file}.content`;
  secretQemuImg("convert", "-O", "raw", `@${file}`, target);
  const bytes = readFileSync(target);
  rmSync(target);
  return bytes;
}

/** Throws unless `qemu-img check` finds neither errors nor leaks. */
export function expectCleanEncrypted(file: string): void {
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", ...SECRET, "--image-opts", imageWords(`@${file}`)], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`qemu-img check: ${stderr}${stdout}`);
}

function imageWords(word: string): string {
  return word.startsWith("@") ? `driver=qcow2,file.filename=${word.slice(1)},encrypt.key-secret=sec0` : word;
}
