/** `--object tls-creds-x509,...` and `tls-creds-psk`: who a server is, and whom it serves. */

import { join } from "node:path";
import { BlockError, errnoWords } from "@coblock/core";
import { loadCertificates, loadPreSharedKeys, type TlsCredentials } from "@coblock/nbd";
import { CommandFailure } from "./failure.ts";
import { parseFlag } from "./text/key-values.ts";

/** Credentials by the name that options give them. */
export interface TlsObject {
  readonly side: "server" | "client";
  readonly credentials: TlsCredentials;
  readonly verifyPeer: boolean;
}

export const TLS_TYPES: readonly string[] = ["tls-creds-x509", "tls-creds-psk"];

const PSK_KNOWN = ["dir", "endpoint", "verify-peer", "username"];
const CERTIFICATES_KNOWN = ["dir", "endpoint", "verify-peer"];
/** Known to QEMU; certificates are what they are here. */
const ABSENT = ["priority", "passwordid", "sanity-check"];

/** Reads the files in `dir`. Throws CommandFailure. */
export async function tlsObjectOf(type: string, words: ReadonlyMap<string, string>): Promise<TlsObject> {
  const known = type === "tls-creds-psk" ? PSK_KNOWN : CERTIFICATES_KNOWN;
  for (const name of words.keys()) {
    if (ABSENT.includes(name)) throw new CommandFailure(`option '${name}' of ${type} is not there yet`);
    if (!known.includes(name)) throw new CommandFailure(`Property '${type}.${name}' not found`);
  }
  const { dir, endpoint: side = "client", "verify-peer": verify = "on", username = "qemu" } = Object.fromEntries(words);
  if (side !== "server" && side !== "client") throw new CommandFailure(`Parameter 'endpoint' does not accept value '${side}'`);
  if (side === "server" && words.has("username")) throw new CommandFailure("username should not be set when endpoint=server");
  if (dir === undefined) throw new CommandFailure("Missing 'dir' property value");
  try {
    const verifyPeer = parseFlag(verify, "verify-peer");
    if (type === "tls-creds-psk") return { side, credentials: await loadPreSharedKeys(join(dir, "keys.psk"), username), verifyPeer };
    return { side, credentials: { ...(await loadCertificates(dir, side)), verifyPeer }, verifyPeer };
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const { code, path } = (error.cause ?? {}) as NodeJS.ErrnoException;
    const message = path === undefined ? error.message : `Unable to access credentials ${path}: ${errnoWords(code ?? "EIO")}`;
    throw new CommandFailure(message, 1, { cause: error });
  }
}
