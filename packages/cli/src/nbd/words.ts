/** The words of qemu-nbd, each checked where it stands. */

import { CommandFailure } from "../failure.ts";
import { PLAIN_FLAGS, type ImageFlags } from "../flagged-image.ts";
import { cacheFlags } from "../io/flags.ts";
import type { FoundOption, LongOptions } from "../getopt.ts";

export const LETTERS = "hVb:o:p:rsnc:dvk:e:f:tl:x:T:D:AB:L";

/** In the order in which getopt lists those that a short form fits. */
export const LONG: LongOptions = {
  help: { name: "h", takesArgument: false },
  version: { name: "V", takesArgument: false },
  bind: { name: "b", takesArgument: true },
  port: { name: "p", takesArgument: true },
  socket: { name: "k", takesArgument: true },
  offset: { name: "o", takesArgument: true },
  "read-only": { name: "r", takesArgument: false },
  "allocation-depth": { name: "A", takesArgument: false },
  bitmap: { name: "B", takesArgument: true },
  connect: { name: "c", takesArgument: true },
  disconnect: { name: "d", takesArgument: false },
  list: { name: "L", takesArgument: false },
  snapshot: { name: "s", takesArgument: false },
  "load-snapshot": { name: "l", takesArgument: true },
  nocache: { name: "n", takesArgument: false },
  cache: { name: "cache", takesArgument: true },
  aio: { name: "aio", takesArgument: true },
  discard: { name: "discard", takesArgument: true },
  "detect-zeroes": { name: "detect-zeroes", takesArgument: true },
  shared: { name: "e", takesArgument: true },
  format: { name: "f", takesArgument: true },
  persistent: { name: "t", takesArgument: false },
  verbose: { name: "v", takesArgument: false },
  object: { name: "object", takesArgument: true },
  "export-name": { name: "x", takesArgument: true },
  description: { name: "D", takesArgument: true },
  "tls-creds": { name: "tls-creds", takesArgument: true },
  "tls-hostname": { name: "tls-hostname", takesArgument: true },
  "tls-authz": { name: "tls-authz", takesArgument: true },
  "image-opts": { name: "image-opts", takesArgument: false },
  trace: { name: "T", takesArgument: true },
  fork: { name: "fork", takesArgument: false },
  "pid-file": { name: "pid-file", takesArgument: true },
  "selinux-label": { name: "selinux-label", takesArgument: true },
};

/** What the words say, apart from the image's name. */
export interface Invocation {
  /** Whether the option was given, by its letter, or its name where it has none. */
  has(name: string): boolean;
  /** As it was given last. */
  value(name: string): string | undefined;
  values(name: string): readonly string[];
  /** Clients at one time; 0: any number. */
  readonly shared: number;
  /** Bytes; `undefined`: not given. */
  readonly offset: number | undefined;
  readonly flags: ImageFlags;
  readonly detectZeroes: "off" | "on" | "unmap";
  /** `--aio=native` needs a cache mode that goes past the host's page cache. */
  readonly lacksDirect: boolean;
}

/** Clients learn at most so many bytes. proto.md, "Strings". */
const MAX_STRING_LENGTH = 4096;

interface Modes {
  flags: ImageFlags;
  shared: number;
  offset: number | undefined;
  detectZeroes: "off" | "on" | "unmap";
  cacheMode: string | undefined;
}

/** Throws CommandFailure for the first word that does not fit. */
export function invocationOf(options: readonly FoundOption[]): Invocation {
  const modes: Modes = {
    flags: { ...PLAIN_FLAGS, discard: "ignore" },
    shared: 1,
    offset: undefined,
    detectZeroes: "off",
    cacheMode: undefined,
  };
  const values = (wanted: string): string[] => options.filter(({ name }) => name === wanted).map(({ argument }) => argument);
  const has = (wanted: string): boolean => options.some(({ name }) => name === wanted);
  const seen = new Set<string>();
  for (const { name, argument } of options) {
    const group = name === "n" ? "cache" : name;
    if (seen.has(group)) refuseTwice(group);
    seen.add(group);
    readOption(modes, name, argument);
  }
  const { cacheMode, flags, shared, offset, detectZeroes } = modes;
  const value = (wanted: string): string | undefined => values(wanted).at(-1);
  const lacksDirect = value("aio") === "native" && !["none", "off", "directsync"].includes(cacheMode ?? "");
  return {
    has,
    values,
    value,
    shared,
    offset,
    detectZeroes,
    lacksDirect,
    flags: { ...flags, readOnly: has("r") || has("l"), snapshot: has("s") },
  };
}

function refuseTwice(group: string): void {
  if (group === "cache") throw new CommandFailure("-n and --cache can only be specified once");
  if (group === "aio" || group === "discard") throw new CommandFailure(`--${group} can only be specified once`);
}

function readOption(modes: Modes, name: string, argument: string): void {
  switch (name) {
    case "n":
    case "cache":
      modes.cacheMode = name === "n" ? "none" : argument;
      modes.flags = { ...modes.flags, ...cacheModeOf(modes.cacheMode) };
      return;
    case "aio":
      if (!["threads", "native", "io_uring"].includes(argument)) throw new CommandFailure(`Invalid aio mode '${argument}'`);
      return;
    case "discard":
      modes.flags = { ...modes.flags, discard: discardOf(argument) };
      return;
    case "detect-zeroes":
      modes.detectZeroes = detectZeroesOf(argument, modes.flags);
      return;
    case "e":
      modes.shared = countOf(argument, `Invalid shared device number '${argument}'`);
      return;
    case "o":
      modes.offset = countOf(argument, `Invalid offset '${argument}'`);
      return;
    case "x":
    case "D":
      if (Buffer.byteLength(argument) > MAX_STRING_LENGTH)
        throw new CommandFailure(`export ${name === "x" ? "name" : "description"} '${argument}' too long`);
  }
}

function cacheModeOf(mode: string): Pick<ImageFlags, "writeThrough" | "noFlush"> {
  try {
    return cacheFlags(mode);
  } catch (cause) {
    throw new CommandFailure(`Invalid cache mode \`${mode}'`, 1, { cause });
  }
}

function discardOf(mode: string): ImageFlags["discard"] {
  if (mode === "ignore" || mode === "off") return "ignore";
  if (mode === "unmap" || mode === "on") return "unmap";
  throw new CommandFailure(`Invalid discard mode \`${mode}'`);
}

function detectZeroesOf(mode: string, { discard }: ImageFlags): Invocation["detectZeroes"] {
  if (mode !== "off" && mode !== "on" && mode !== "unmap")
    throw new CommandFailure(`Failed to parse detect_zeroes mode: invalid parameter value: ${mode}`);
  if (mode === "unmap" && discard !== "unmap")
    throw new CommandFailure("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  return mode;
}

/** In base 8, 10 or 16, as C writes numbers. */
function countOf(text: string, problem: string): number {
  const [, octal] = /^0([0-7]+)$/.exec(text) ?? [];
  const isNumber = /^(?:0x[0-9a-f]+|0|[1-9]\d*)$/i.test(text) || octal !== undefined;
  const count = octal === undefined ? Number(text) : Number.parseInt(octal, 8);
  if (!isNumber || !Number.isSafeInteger(count)) throw new CommandFailure(problem);
  return count;
}
