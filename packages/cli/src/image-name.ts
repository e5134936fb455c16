/** What qemu-img calls an image that is described by options: the name that would open it the same way, else the options themselves. */

import { DRIVERS } from "./drivers.ts";
import { parseFileName, type BlockNode } from "@coblock/core";
import { splitAtCommas } from "./text/key-values.ts";

/** Values as they were typed, by dotted names. */
type Given = Readonly<Record<string, unknown>>;

/** Options that change what an image shows: they are part of its name. Those of groups are known by their beginning. */
const TELLING: Readonly<Record<string, readonly string[]>> = {
  raw: ["offset", "size"],
  qcow2: ["encrypt."],
  luks: ["key-secret"],
  "null-co": ["size", "read-zeroes"],
  "null-aio": ["size", "read-zeroes"],
  throttle: ["throttle-group"],
  blkdebug: ["inject-error.", "set-state.", "align", "max-transfer", "opt-write-zero", "max-write-zero", "opt-discard", "max-discard"],
};
/** Drivers that have names of their own for what they are put on: `blkdebug:CONFIG:IMAGE`, `null-co://`. */
const PREFIXED = ["blkdebug", "blkverify", "null-co", "null-aio"];
/** The order of members; others come in that of the options. */
const ORDER = ["throttle-group", "encrypt.key-secret", "key-secret", "image", "read-zeroes", "offset", "driver", "size", "file"];

/** `words` were typed; `isList`: as a list of options. */
export function imageNameOf(node: BlockNode, words: string, isList: boolean): string {
  if (isList) return nameOf(node, listedOptions(words));
  if (words.startsWith("json:")) return nameOf(node, flatten(JSON.parse(words.slice("json:".length)) as object));
  const parsed = parseFileName(words);
  return parsed.kind === "path" && PREFIXED.includes(parsed.protocol ?? "") ? words : node.fileName;
}

function listedOptions(list: string): Given {
  const pairs = splitAtCommas(list).map((part): [string, string] => {
    const equals = part.indexOf("=");
    return equals < 0 ? [part, "on"] : [part.slice(0, equals), part.slice(equals + 1)];
  });
  return Object.fromEntries(pairs);
}

function flatten(options: object, prefix: string = ""): Given {
  const flat: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (typeof value === "object" && value !== null) Object.assign(flat, flatten(value, `${prefix}${name}.`));
    else flat[prefix + name] = value;
  }
  return flat;
}

function nameOf(node: BlockNode, given: Given): string {
  return plainName(node, given) ?? `json:${jsonOf(describe(node, given))}`;
}

/** A name without options, where there is one that says it all. */
function plainName(node: BlockNode, given: Given): string | undefined {
  const told = tellingOptions(node, given);
  const child = (name: string): string | undefined => plainNameOfChild(node, name, given);
  if (Object.keys(told).length > 0) return undefined;
  switch (node.driver) {
    case "null-co":
    case "null-aio":
      return `${node.driver}://`;
    case "blkdebug":
      return prefixed(`blkdebug:${typeof given["config"] === "string" ? given["config"] : ""}`, child("image"));
    case "blkverify":
      return prefixed(prefixed("blkverify", child("raw")), child("test"));
    default:
      if (node.children.size === 0) return node.fileName;
      return isFormat(node.driver) && isProtocol(node.children.get("file")?.node.driver) ? child("file") : undefined;
  }
}

function prefixed(prefix: string | undefined, name: string | undefined): string | undefined {
  return prefix === undefined || name === undefined ? undefined : `${prefix}:${name}`;
}

function plainNameOfChild(node: BlockNode, name: string, given: Given): string | undefined {
  const below = node.children.get(name)?.node;
  return below === undefined ? undefined : plainName(below, belowOf(given, name));
}

function isFormat(driver: string): boolean {
  return DRIVERS.some(({ name, kind }) => name === driver && kind === "format");
}

function isProtocol(driver: string | undefined): boolean {
  return driver !== undefined && (PREFIXED.includes(driver) || DRIVERS.some(({ name, kind }) => name === driver && kind === "protocol"));
}

interface Described {
  readonly [name: string]: unknown;
}

function describe(node: BlockNode, given: Given): Described {
  const members: Record<string, unknown> = { ...tellingOptions(node, given), driver: node.driver };
  if (node.children.size === 0 && node.driver === "file") members["filename"] = node.fileName;
  for (const [name, child] of node.children) if (child.role !== "backing") members[name] = describe(child.node, belowOf(given, name));
  const place = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return Object.fromEntries(Object.entries(members).sort(([one], [other]) => place(one) - place(other)));
}

function tellingOptions({ driver }: BlockNode, given: Given): Given {
  const telling = TELLING[driver] ?? [];
  const isTelling = (name: string): boolean => telling.some((one) => (one.endsWith(".") ? name.startsWith(one) : name === one));
  return Object.fromEntries(Object.entries(given).filter(([name]) => isTelling(name)));
}

function belowOf(given: Given, child: string): Given {
  const prefix = `${child}.`;
  const below = Object.entries(given).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(below.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** On one line. */
function jsonOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}: ${jsonOf(member)}`)
    .join(", ")}}`;
}
