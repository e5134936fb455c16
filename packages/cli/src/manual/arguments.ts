/** Options that many commands have: their arguments, and what is said of them everywhere. */

import type { ArgumentWords } from "./page.ts";

const CACHE_MODES: readonly string[] = ["none", "writeback", "unsafe", "directsync", "writethrough"];
export const IMAGE_OPTIONS = "the name is a list of options: driver=qcow2,file.filename=disk.qcow2";
export const FORCE_SHARE = "also while another process writes to the image; what is read may then be half-written";
export const PROGRESS = "print how far it is";
export const QUIET = "say nothing but errors";

export const FORMAT: ArgumentWords = format("the format of the image; else it is guessed from the first bytes");
export const OUTPUT: ArgumentWords = {
  argument: "human|json",
  completes: ["human", "json"],
  help: "text for people, or JSON for programs",
};
export const RATE: ArgumentWords = { argument: "rate", help: "at most that many bytes a second" };
export const SNAPSHOT: ArgumentWords = {
  argument: "snapshot",
  help: "the disk as that snapshot inside the image has it: an ID, else a name, or snapshot.id=ID,snapshot.name=NAME",
};

/** The name of a format. */
export function format(help: string): ArgumentWords {
  return { argument: "fmt", completes: "format", help };
}

/** The name of a file. */
export function file(argument: string, help: string): ArgumentWords {
  return { argument, completes: "file", help };
}

/** When what is written is safe. */
export function cache(help: string): ArgumentWords {
  return { argument: "mode", completes: CACHE_MODES, help };
}
