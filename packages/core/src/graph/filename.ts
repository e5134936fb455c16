/** File names as users and images write them: plain paths, `file:` and other protocol prefixes, `json:{…}`. */

import { isAbsolute } from "node:path";
import { BlockError } from "../errors.ts";

/** What a file name turned out to be. */
export type ParsedName =
  | { readonly kind: "json"; readonly options: Readonly<Record<string, unknown>> }
  /** `protocol` is the prefix before the first colon, if there is one before any slash. */
  | { readonly kind: "path"; readonly protocol: string | undefined; readonly path: string };

/** A protocol's name and its colon: before any slash, for a slash is none of its letters. */
const PROTOCOL = /^([A-Za-z][A-Za-z0-9+.-]*):/;

/** Throws INVALID_OPTION where a `json:` name is no JSON object. */
export function parseFileName(name: string): ParsedName {
  if (name.startsWith("json:")) return { kind: "json", options: parseJsonName(name) };
  const protocol = PROTOCOL.exec(name)?.[1];
  if (protocol === undefined) return { kind: "path", protocol: undefined, path: name };
  return { kind: "path", protocol, path: protocol === "file" ? name.slice("file:".length) : name };
}

/** The name as seen from the folder of the image that gives it, one put behind the other as QEMU does; absolute names and those with a protocol stay as they are. */
export function resolveBeside(imageName: string, name: string): string {
  const parsed = parseFileName(name);
  if (parsed.kind === "json" || (parsed.protocol !== undefined && parsed.protocol !== "file")) return name;
  if (isAbsolute(parsed.path)) return parsed.path;
  const protocol = PROTOCOL.exec(imageName)?.[0];
  if (protocol !== undefined && protocol !== "file:")
    return imageName.slice(0, Math.max(protocol.length, imageName.lastIndexOf("/") + 1)) + parsed.path;
  const imagePath = protocol === undefined ? imageName : imageName.slice(protocol.length);
  return asPath(imagePath.slice(0, imagePath.lastIndexOf("/") + 1) + parsed.path);
}

/** A path of the host that is taken for nothing else: `json:` and protocols are for those who open images, not for what stands in them. */
export function asPath(path: string): string {
  return PROTOCOL.test(path) ? `./${path}` : path;
}

/** Options of a `json:` name, dotted names nested and QEMU's spelling (`node-name`) turned into ours (`nodeName`). */
function parseJsonName(name: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(name.slice("json:".length));
  } catch (cause) {
    throw new BlockError("INVALID_OPTION", `Could not parse the JSON options of '${name}': ${(cause as Error).message}`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new BlockError("INVALID_OPTION", `The JSON options of '${name}' are not an object`);
  }
  return nestOptions(parsed as Record<string, unknown>);
}

/** `{ "file.filename": "x", "read-only": true }` becomes `{ file: { filename: "x" }, readOnly: true }`; also for `--image-opts`. */
export function nestOptions(flat: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const nested: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [dotted, value] of Object.entries(flat)) {
    const path = dotted.split(".");
    const last = path.pop() ?? dotted;
    let at = nested;
    for (const step of path) {
      const name = camelCase(step);
      const below = (at[name] ??= Object.create(null) as Record<string, unknown>);
      if (typeof below !== "object" || below === null)
        throw new BlockError("INVALID_OPTION", `Option '${dotted}' contradicts option '${step}'`);
      at = below as Record<string, unknown>;
    }
    const key = camelCase(last);
    const inner =
      typeof value === "object" && value !== null && !Array.isArray(value) ? nestOptions(value as Record<string, unknown>) : value;
    const known = at[key];
    if (known !== undefined && (typeof known !== "object" || typeof inner !== "object"))
      throw new BlockError("INVALID_OPTION", `Option '${dotted}' is given twice`);
    at[key] = known === undefined ? inner : Object.assign(known as object, inner);
  }
  return nested;
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
