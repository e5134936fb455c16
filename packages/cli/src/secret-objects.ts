/** `--object secret,id=sec0,data=...`: passphrases by the names that image options give them. */

import { readFile } from "node:fs/promises";
import type { Secrets } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import { parseKeyValues } from "./text/key-values.ts";

const KNOWN = ["qom-type", "id", "data", "file", "format"];
const IDENTIFIER = /^[A-Za-z][A-Za-z0-9._-]*$/;

/** One for each `--object`. Throws CommandFailure, which shows nothing of a secret. */
export async function secretsOf(objects: readonly string[]): Promise<Secrets> {
  const secrets = new Map<string, Uint8Array>();
  for (const words of objects.map(parseObject)) {
    const id = idOf(words);
    if (secrets.has(id)) throw new CommandFailure(`attempt to add duplicate property '${id}' to object (type 'container')`);
    secrets.set(id, await bytesOf(id, words));
  }
  return Object.fromEntries(secrets);
}

type Words = ReadonlyMap<string, string>;

/** A list of options whose first word may be the type alone, or an object in JSON. */
function parseObject(text: string): Words {
  const words = text.startsWith("{") ? parseJson(text) : parseList(text);
  const type = words.get("qom-type");
  if (type === undefined) throw new CommandFailure("Parameter 'qom-type' is missing");
  if (type !== "secret") throw new CommandFailure(`Parameter 'qom-type' does not accept value '${type}'`);
  const unknown = [...words.keys()].find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw new CommandFailure(`Parameter '${unknown}' is unexpected`);
  return words;
}

function parseList(text: string): Words {
  const type = /^[^=,]+(?=,|$)/.exec(text)?.[0];
  return parseKeyValues(type === undefined ? text : `qom-type=${text}`);
}

function parseJson(text: string): Words {
  let parsed: object;
  try {
    parsed = JSON.parse(text) as object;
  } catch (cause) {
    // What the parser says may show the text.
    throw new CommandFailure("--object is neither a list of options nor JSON", 1, { cause });
  }
  return new Map(Object.entries(parsed).map(([name, value]) => [name, String(value)]));
}

function idOf(words: Words): string {
  const id = words.get("id");
  if (id === undefined) throw new CommandFailure("Parameter 'id' is missing");
  if (!IDENTIFIER.test(id)) throw new CommandFailure(`Parameter 'id' expects an identifier, not '${id}'`);
  return id;
}

/** From `data` or `file`, as they are or in base64. */
async function bytesOf(id: string, words: Words): Promise<Uint8Array> {
  const [data, file, format = "raw"] = [words.get("data"), words.get("file"), words.get("format")];
  if (format !== "raw" && format !== "base64") throw new CommandFailure(`Parameter 'format' does not accept value '${format}'`);
  if (data !== undefined && file !== undefined) throw new CommandFailure("'file' and 'data' are mutually exclusive");
  const bytes = data !== undefined ? new TextEncoder().encode(data) : await readSecret(file);
  if (format === "raw") return bytes;
  const text = Buffer.from(bytes).toString("latin1");
  if (!/^[A-Za-z0-9+/=\n]*$/.test(text)) throw new CommandFailure(`the base64 data of secret '${id}' is not valid`);
  return Buffer.from(text, "base64");
}

async function readSecret(file: string | undefined): Promise<Uint8Array> {
  if (file === undefined) throw new CommandFailure("Either 'file' or 'data' must be provided");
  try {
    return await readFile(file);
  } catch (cause) {
    throw new CommandFailure(`Unable to read ${file}: ${(cause as Error).message}`, 1, { cause });
  }
}
