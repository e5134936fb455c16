/** What the manual says of the program as a whole: the groups of its commands, first steps, and what holds for all. */

import type { Example } from "./page.ts";

/** Each command is in one. */
export const GROUPS: ReadonlyArray<readonly [title: string, commands: readonly string[]]> = [
  ["Look at an image", ["info", "map", "check", "compare", "measure", "inspect"]],
  ["Make, copy and change images", ["create", "convert", "dd", "resize", "amend"]],
  ["Chains, snapshots and what has changed", ["commit", "rebase", "snapshot", "bitmap"]],
  ["Serve and measure", ["nbd", "bench"]],
  ["Help", ["help", "completion"]],
];

export const FIRST_STEPS: readonly Example[] = [
  { line: "coblock info disk.qcow2", why: "what is it?" },
  { line: "coblock map --draw disk.qcow2", why: "where are its bytes?" },
  { line: "coblock convert -O qcow2 disk.raw disk.qcow2", why: "another format" },
  { line: "coblock create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2", why: "write without touching base.qcow2" },
];

/** What a word, and what a whole page, is about. */
export const TOPICS: ReadonlyArray<readonly [title: string, text: string]> = [
  ["Sizes", "are bytes; the suffixes k, M, G, T, P and E multiply by powers of 1024."],
  [
    "Images",
    "are files, nbd://, nbd+unix:// and http:// addresses, 'json:{...}' descriptions, or with --image-opts lists such as driver=qcow2,file.filename=disk.qcow2.",
  ],
  [
    "Passphrases",
    "come with --object secret,id=sec0,data=...|file=...[,format=base64], and image options name them (encrypt.key-secret=sec0).",
  ],
  ["Signals", "SIGINT and SIGTERM end the work in good order; SIGUSR1 prints how far it is, SIGUSR2 what every node and lock is doing."],
  ["Terminals", "On a terminal there are colours, a progress bar, tables and hints; in a pipe the output is qemu-img's."],
];

export const ENVIRONMENT: ReadonlyArray<readonly [name: string, meaning: string]> = [
  ["NO_COLOR", "no colours, whatever else is set"],
  ["PAGER", "shows what 'coblock help' says, page by page; empty: nothing does"],
  ["FORCE_COLOR, CLICOLOR_FORCE", "colours also in a pipe; 0: none on a terminal either"],
  ["COBLOCK_DEBUG", "1: error messages with the stack"],
];

/** The other programs in this one. */
export const PROGRAMS: ReadonlyArray<readonly [name: string, meaning: string]> = [
  ["coblock img ...", "is qemu-img, to the letter"],
  ["coblock io ...", "is qemu-io: send requests to a disk, by hand or from a script"],
  ["coblock nbd ...", "is qemu-nbd, where the next word is neither serve nor list"],
];
