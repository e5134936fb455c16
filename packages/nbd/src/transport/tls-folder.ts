/** Credentials from a folder, with the file names that QEMU and libnbd look for. */

import { BlockError, errnoWords } from "@coblock/core";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TlsCertificates, TlsPreSharedKeys } from "./tls.ts";

/** `ca-cert.pem`, and `server-cert.pem`, `server-key.pem` or the client's. Only a client may lack its own. Throws INVALID_OPTION. */
export async function loadCertificates(folder: string, side: "server" | "client"): Promise<TlsCertificates> {
  const at = (name: string): string => join(folder, name);
  const authority = checkCertificate(at("ca-cert.pem"), await readNeeded(at("ca-cert.pem")));
  const certificate = await readIfThere(at(`${side}-cert.pem`));
  if (certificate === undefined && side === "server") await readNeeded(at("server-cert.pem"));
  if (certificate === undefined) return { kind: "certificates", authority };
  checkCertificate(at(`${side}-cert.pem`), certificate);
  const key = await readNeeded(at(`${side}-key.pem`));
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

/** OpenSSL does not say which of several files is none of what it should be. */
function checkCertificate(path: string, bytes: Buffer): Buffer {
  try {
    void new X509Certificate(bytes);
  } catch (cause) {
    throw new BlockError("INVALID_OPTION", `'${path}' has no certificate that can be read`, { cause });
  }
  return bytes;
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
