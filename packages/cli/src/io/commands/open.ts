/** `open`, `close` and `reopen`. */

import { nestOptions } from "@coblock/core";
import { parseKeyValues, parseFlag } from "../../text/key-values.ts";
import { cacheFlags, checkAioMode, discardOf } from "../flags.ts";
import type { IoCommand } from "../command.ts";
import { IoFailure, IoUsage } from "../failure.ts";
import { PLAIN_FLAGS, type ImageFlags } from "../../flagged-image.ts";
import type { Shell } from "../shell.ts";

export const open: IoCommand = {
  name: "open",
  alias: "o",
  minimum: 1,
  letters: "snCro:ki:t:d:U",
  synopsis: "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
  summary: "open an image",
  explanation: `
 Example: 'open -r -o driver=raw /tmp/disk' opens a raw image that is only read.

 -r          only read
 -s          keep changes in an overlay that is thrown away
 -C          keep what is read from backing files
 -n          -t none
 -U          open it although another process has it open
 -k          -i native
 -i aio      how the host does the requests
 -t cache    the cache mode
 -d discard  whether discards reach the image: ignore or unmap
 -o options  name=value,... for the driver
`,
  needs: "nothing",
  run: async (call) => {
    const { shell, operands } = call;
    let flags: ImageFlags = {
      ...PLAIN_FLAGS,
      readOnly: call.has("r"),
      snapshot: call.has("s"),
      copyOnRead: call.has("C"),
      forceShare: call.has("U"),
    };
    for (const { name, argument } of call.options) {
      if (name === "t") flags = { ...flags, ...cacheFlags(argument) };
      if (name === "d") flags = { ...flags, discard: discardOf(argument) };
      if (name === "i") checkAioMode(argument);
    }
    if (operands.length > 1) throw new IoUsage();
    if (operands.length === 0 && !call.has("o")) throw new IoUsage();
    if (shell.isOpen) throw new IoFailure("file open already, try 'help close'", "named stderr");
    await shell.open({ filename: operands[0], options: call.value("o"), flags });
  },
};

export const close: IoCommand = {
  name: "close",
  alias: "c",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "close the image",
  needs: "image",
  run: ({ shell }) => shell.close(),
};

export const reopen: IoCommand = {
  name: "reopen",
  minimum: 0,
  letters: "c:o:rw",
  synopsis: "[(-r|-w)] [-c cache] [-o options]",
  summary: "change how the image is opened",
  explanation: `
 Example: 'reopen -o l2-cache-size=1M' gives a qcow2 image another cache.

 -r          only read
 -w          read and write
 -c cache    the cache mode
 -o options  name=value,... for the driver
`,
  needs: "image",
  run: async (call) => {
    const { shell, options, operands } = call;
    let flags: Partial<ImageFlags> = {};
    for (const { name, argument } of options) {
      if (name === "c") flags = { ...flags, ...cacheFlags(argument) };
      if (name !== "r" && name !== "w") continue;
      if (flags.readOnly !== undefined) throw new IoFailure("Only one -r/-w option may be given", "named stderr");
      flags = { ...flags, readOnly: name === "r" };
    }
    if (operands.length > 0) throw new IoUsage();
    const words = call.value("o");
    const driverOptions = words === undefined ? {} : driverOptionsOf(words, flags, call.has("c"));
    if ("readOnly" in driverOptions) flags = { ...flags, readOnly: driverOptions["readOnly"] === true };
    await changeOptions(shell, without(driverOptions, ["readOnly", "cache"]));
    if (Object.keys(flags).length > 0) await shell.reopen(flags);
  },
};

/** Throws IoFailure where the words contradict the letters. */
function driverOptionsOf(words: string, flags: Partial<ImageFlags>, hasCache: boolean): Readonly<Record<string, unknown>> {
  const pairs = parseKeyValues(words);
  if (flags.readOnly !== undefined && pairs.has("read-only")) throw new IoFailure("Cannot set both -r/-w and 'read-only'", "named stderr");
  if (hasCache && [...pairs.keys()].some((name) => name.startsWith("cache.")))
    throw new IoFailure("Cannot set both -c and the cache options", "named stderr");
  return nestOptions(Object.fromEntries([...pairs].map(([name, value]) => [name, typedValue(name, value)])));
}

function typedValue(name: string, value: string): unknown {
  if (name === "read-only" || value === "on" || value === "off") return parseFlag(value, name);
  return /^\d+[kmgt]?$/i.test(value) ? sizeOf(value) : value;
}

function sizeOf(value: string): number {
  const unit = "kmgt".indexOf(value.at(-1)?.toLowerCase() ?? "") + 1;
  return Number.parseInt(value, 10) * 1024 ** unit;
}

async function changeOptions(shell: Shell, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { shown } = shell.image;
  const changeable = await shell.image.changeableOptions();
  for (const name of Object.keys(options)) {
    if (!changeable.includes(name)) throw new IoFailure(`Cannot change the option '${kebabCase(name)}'`, "named stderr");
  }
  if (Object.keys(options).length > 0) await shown.reopen(options);
}

function without(options: Readonly<Record<string, unknown>>, names: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
