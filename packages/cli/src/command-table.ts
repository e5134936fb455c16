/** The commands by name; the code of each is loaded when it is asked for. */

import type { Command } from "./command.ts";

export interface CommandEntry {
  readonly summary: string;
  /** Coblock's alone: qemu-img has no such command. */
  readonly isOwn?: true;
  load(): Promise<Command>;
}

export const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  [
    "amend",
    { summary: "change options that were chosen when an image was made", load: async () => (await import("./commands/amend.ts")).command },
  ],
  [
    "bench",
    { summary: "send many reads or writes to an image and tell the time", load: async () => (await import("./commands/bench.ts")).command },
  ],
  [
    "bitmap",
    {
      summary: "make, change and remove the dirty bitmaps inside an image",
      load: async () => (await import("./commands/bitmap.ts")).command,
    },
  ],
  ["check", { summary: "look for damage in an image, and repair it", load: async () => (await import("./commands/check.ts")).command }],
  [
    "commit",
    { summary: "move what an image holds into its backing file", load: async () => (await import("./commands/commit.ts")).command },
  ],
  [
    "compare",
    { summary: "tell whether two images hold the same bytes", load: async () => (await import("./commands/compare.ts")).command },
  ],
  ["convert", { summary: "copy images into a new one, of any format", load: async () => (await import("./commands/convert.ts")).command }],
  [
    "completion",
    {
      isOwn: true,
      summary: "complete Coblock's words in bash, zsh or fish",
      load: async () => (await import("./commands/completion.ts")).command,
    },
  ],
  ["create", { summary: "make a new, empty image", load: async () => (await import("./commands/create.ts")).command }],
  ["dd", { summary: "copy part of a disk into a new image, block by block", load: async () => (await import("./commands/dd.ts")).command }],
  ["help", { isOwn: true, summary: "tell what a command does", load: async () => (await import("./commands/help.ts")).command }],
  ["info", { summary: "tell what an image is", load: async () => (await import("./commands/info.ts")).command }],
  [
    "inspect",
    {
      isOwn: true,
      summary: "open an image and print what Coblock knows of it, for debugging",
      load: async () => (await import("./commands/inspect.ts")).command,
    },
  ],
  ["map", { summary: "list where the bytes of an image are, or draw it", load: async () => (await import("./commands/map.ts")).command }],
  ["measure", { summary: "tell how large an image file would become", load: async () => (await import("./commands/measure.ts")).command }],
  [
    "nbd",
    {
      isOwn: true,
      summary: "serve an image to NBD clients, or list a server's exports",
      load: async () => (await import("./commands/nbd.ts")).command,
    },
  ],
  [
    "rebase",
    { summary: "put an image on another backing file, or on none", load: async () => (await import("./commands/rebase.ts")).command },
  ],
  ["resize", { summary: "make an image larger or smaller", load: async () => (await import("./commands/resize.ts")).command }],
  [
    "snapshot",
    {
      summary: "list, make, apply and delete the snapshots inside an image",
      load: async () => (await import("./commands/snapshot.ts")).command,
    },
  ],
]);
