/** Credentials from a folder, with the file names that QEMU and libnbd look for. */

import { BlockError } from "@coblock/core";
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
  return { kind: "psk", keys, username };
}

async function readNeeded(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new BlockError("INVALID_OPTION", `Could not read the TLS credentials in '${path}': ${(cause as Error).message}`, { cause });
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new BlockError("INVALID_OPTION", `Could not read the TLS credentials in '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}
