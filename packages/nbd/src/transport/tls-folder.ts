/** Credentials from a folder, with the file names that QEMU and libnbd look for. */

import { BlockError, errnoWords } from "@coblock/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TlsCertificates, TlsPreSharedKeys } from "./tls.ts";

/** `ca-cert.pem`, and `server-cert.pem`, `server-key.pem` or the client's. Only a client may lack its own. Throws INVALID_OPTION. */
export async function loadCertificates(folder: string, side: "server" | "client"): Promise<TlsCertificates> {
  const authority = await readNeeded(join(folder, "ca-cert.pem"));
  const certificate = await readIfThere(join(folder, `${side}-cert.pem`));
  if (certificate === undefined && side === "server") await readNeeded(join(folder, "server-cert.pem"));
  const key = certificate === undefined ? undefined : await readNeeded(join(folder, `${side}-key.pem`));
  return { kind: "certificates", authority, certificate, key };
}

/** Lines of `user:hexadecimal key`. Throws INVALID_OPTION. */
export async function loadPreSharedKeys(file: string, username: string): Promise<TlsPreSharedKeys> {
  const keys = new Map<string, Buffer>();
  for (const [index, line] of (await readNeeded(file)).toString("utf8").split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, user, key] = /^(.+):((?:[0-9a-fA-F]{2})+)\s*$/.exec(line) ?? [];
    if (user === undefined || key === undefined)
      throw new BlockError("INVALID_OPTION", `${file}: line ${index + 1} is not 'user:key' with the key in hexadecimal digits`);
    keys.set(user, Buffer.from(key, "hex"));
  }
  if (keys.size === 0) throw new BlockError("INVALID_OPTION", `${file}: there is no key in it`);
  return { kind: "psk", keys, username };
}

async function readNeeded(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): BlockError {
  const { code = "EIO" } = cause as NodeJS.ErrnoException;
  return new BlockError("INVALID_OPTION", `Could not read the TLS credentials in '${path}': ${errnoWords(code)}`, { cause });
}
