/** `--object secret,id=sec0,data=...`: passphrases by the names that image options give them. */

import { readFile } from "node:fs/promises";
import { errnoWords } from "@coblock/core";
import { CommandFailure } from "./failure.ts";

const KNOWN = ["data", "file", "format"];

/** The bytes of the secret `id`, from `data` or `file`, as they are or in base64. Throws CommandFailure, which shows nothing of them. */
export async function secretOf(id: string, words: ReadonlyMap<string, string>): Promise<Uint8Array> {
  const unknown = [...words.keys()].find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw new CommandFailure(`Parameter '${unknown}' is unexpected`);
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
    const reason = "code" in (cause as Error) ? errnoWords(String((cause as NodeJS.ErrnoException).code)) : (cause as Error).message;
    throw new CommandFailure(`Unable to read ${file}: Failed to open file “${file}”: ${reason}`, 1, { cause });
  }
}
