/** Which export of which server is meant: URIs and options turned into one description. */

import { BlockError } from "@coblock/core";
import { join } from "node:path";
import type { NbdOptions, TlsFolder } from "../entry.ts";
import type { TlsCredentials } from "../transport/tls.ts";
import { loadCertificates, loadPreSharedKeys } from "../transport/tls-folder.ts";
import type { DialAddress } from "../transport/dial.ts";

/** Where to connect, and what to ask for there. */
export interface NbdTarget {
  readonly address: DialAddress;
  readonly exportName: string;
  readonly tls: { readonly credentials: TlsCredentials; readonly hostName: string | undefined } | undefined;
}

/** Where credentials are to be read. */
type TlsFiles = (TlsFolder & { readonly verifyPeer?: boolean }) | { readonly keys: string; readonly username: string };

/** What a name or options say before credentials are read. */
interface Words {
  readonly address: DialAddress;
  readonly exportName: string;
  readonly secure: boolean;
  readonly credentials: TlsFiles | TlsCredentials | undefined;
  readonly hostName: string | undefined;
}

const DEFAULT_PORT = 10_809;
const URI_PARAMETERS = ["socket", "tls-certificates", "tls-psk-file", "tls-username", "tls-hostname", "tls-verify-peer"];

/** Throws INVALID_OPTION for what names no server, and for credentials that cannot be read. */
export async function resolveTarget(options: NbdOptions): Promise<NbdTarget> {
  // Options that came as JSON may be of any type.
  const texts: Readonly<Record<string, unknown>> = { ...options };
  for (const name of ["filename", "path", "host", "export", "tlsHostname"])
    if (texts[name] !== undefined && typeof texts[name] !== "string")
      throw refused(`option '${name}' cannot be ${JSON.stringify(texts[name])}`);
  if (options.connect !== undefined && typeof options.connect !== "function") throw refused("option 'connect' is no function");
  if (options.server !== undefined && (typeof options.server !== "object" || options.server === null))
    throw refused("option 'server' is no object");
  const words = options.filename === undefined ? fromOptions(options) : fromFileName(options.filename, options);
  const { address, exportName } = words;
  if (!words.secure && words.credentials === undefined) return { address, exportName, tls: undefined };
  const credentials = await credentialsOf(words);
  const hostName = words.hostName ?? ("host" in address ? address.host : undefined);
  if (credentials.kind === "certificates" && credentials.verifyPeer !== false && hostName === undefined)
    throw refused("the name in the server's certificate is needed on a Unix socket (tls-hostname)");
  return { address, exportName, tls: { credentials, hostName } };
}

/** The export in QEMU's words, in which nothing is escaped, nor TLS told; `undefined` where the server has no address. */
export function fileNameOf({ address, exportName }: NbdTarget): string | undefined {
  if ("connect" in address) return undefined;
  const path = exportName === "" ? "" : `/${exportName}`;
  return "path" in address ? `nbd+unix://${path}?socket=${address.path}` : `nbd://${address.host}:${address.port}${path}`;
}

async function credentialsOf({ credentials: given }: Words): Promise<TlsCredentials> {
  if (given === undefined) throw refused("TLS needs credentials (tls-creds, or tls-certificates or tls-psk-file in the URI)");
  const isObject = typeof given === "object" && given !== null;
  if (isObject && "kind" in given) return given;
  if (isObject && "keys" in given) return loadPreSharedKeys(given.keys, given.username);
  if (!isObject || typeof given.dir !== "string") throw refused("option 'tls-creds' has no folder in 'dir'");
  if (given.username !== undefined) return loadPreSharedKeys(join(given.dir, "keys.psk"), given.username);
  return { ...(await loadCertificates(given.dir, "client")), verifyPeer: given.verifyPeer };
}

function fromOptions(options: NbdOptions): Words {
  const { server, path, host, port, connect } = options;
  const places = [server, path, host, connect].filter((place) => place !== undefined);
  if (places.length !== 1) throw refused("one of 'server', 'path', 'host', 'connect' and 'filename' must tell the server");
  return {
    address: connect === undefined ? addressOf(server === undefined ? { path, host, port } : serverWords(server)) : { connect },
    exportName: options.export ?? "",
    secure: options.tlsCreds !== undefined,
    credentials: options.tlsCreds,
    hostName: options.tlsHostname,
  };
}

function serverWords(server: NonNullable<NbdOptions["server"]>): AddressWords {
  if (server.type === "unix") return { path: server.path };
  if (server.type === "inet") return { host: server.host, port: server.port };
  throw refused(`server type '${String((server as { type: unknown }).type)}' is none of 'inet' and 'unix'`);
}

interface AddressWords {
  readonly path?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
}

function addressOf({ path, host, port = DEFAULT_PORT }: AddressWords): DialAddress {
  if (typeof path === "string" && path !== "") return { path };
  if (typeof host !== "string" || host === "") throw refused("the server's host or socket path is missing");
  const number = typeof port === "string" && /^\d+$/.test(port) ? Number(port) : port;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 1 || number > 65_535) throw refused(`'${port}' is no port`);
  return { host, port: number };
}

function fromFileName(name: string, options: NbdOptions): Words {
  for (const [option, value] of Object.entries({
    server: options.server,
    path: options.path,
    host: options.host,
    port: options.port,
    connect: options.connect,
    export: options.export,
  }))
    if (value !== undefined) throw refused(`option '${option}' and a file name exclude each other`);
  const words = name.includes("://") ? fromUri(name) : fromOldName(name);
  return { ...words, credentials: options.tlsCreds ?? words.credentials, hostName: options.tlsHostname ?? words.hostName };
}

/** The URI specification of the NBD project; parameters for TLS are libnbd's. */
function fromUri(name: string): Words {
  let uri: URL;
  try {
    uri = new URL(name);
  } catch (cause) {
    throw new BlockError("INVALID_OPTION", `nbd: '${name}' is no URI`, { cause });
  }
  const scheme = uri.protocol.slice(0, -1);
  if (!/^nbds?(?:\+(?:tcp|unix))?$/.test(scheme)) throw refused(`'${scheme}' is no scheme of NBD`);
  const parameters = parametersOf(uri, name);
  const get = (parameter: string): string | undefined => parameters.get(parameter);
  const socket = get("socket");
  const isUnix = scheme.endsWith("+unix");
  if (isUnix !== (socket !== undefined))
    throw refused(`'${name}' ${isUnix ? "names no socket" : "names a socket, but is not of nbd+unix"}`);
  if (isUnix && uri.host !== "") throw refused(`'${name}' names a host and a socket`);
  const host = uri.hostname.replace(/^\[(.*)\]$/, "$1");
  const username = get("tls-username") ?? (uri.username === "" ? "qemu" : decoded(uri.username, name));
  const dir = get("tls-certificates");
  const keys = get("tls-psk-file");
  return {
    address: isUnix
      ? addressOf({ path: socket })
      : addressOf({ host: decoded(host, name) || "localhost", port: uri.port === "" ? undefined : uri.port }),
    exportName: decoded(pathOf(name).slice(1), name),
    secure: scheme.startsWith("nbds"),
    credentials: keys === undefined ? certificatesIn(dir, get("tls-verify-peer")) : { keys, username },
    hostName: get("tls-hostname"),
  };
}

function certificatesIn(dir: string | undefined, verify: string | undefined): TlsFiles | undefined {
  return dir === undefined ? undefined : { dir, verifyPeer: verify !== "0" };
}

/** As it was written: `URL` would take "." and ".." for folders. */
function pathOf(name: string): string {
  return /^[^:]*:\/\/[^/?#]*([^?#]*)/.exec(name)?.[1] ?? "";
}

/** RFC 3986: a plus sign is no space, as it is in forms of web pages. */
function parametersOf(uri: URL, name: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of uri.search
    .slice(1)
    .split("&")
    .filter((text) => text !== "")) {
    const [parameter = "", ...value] = part.split("=");
    if (!URI_PARAMETERS.includes(parameter)) throw refused(`'${name}' has the unknown parameter '${parameter}'`);
    found.set(parameter, decoded(value.join("="), name));
  }
  return found;
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused(`'${name}' has a '%' that no two hexadecimal digits follow, or bytes that are no UTF-8`);
  }
}

/** `nbd:host:port`, `nbd:unix:/path`, both with `:exportname=name` behind. */
function fromOldName(name: string): Words {
  const [, place = "", exportName = ""] = /^nbd:(.*?)(?::exportname=(.*))?$/s.exec(name) ?? [];
  const unix = /^unix:(.+)$/s.exec(place)?.[1];
  const inet = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(place);
  if (unix === undefined && inet === null) throw refused(`'${name}' is neither a URI nor nbd:host:port nor nbd:unix:path`);
  const address =
    unix === undefined ? addressOf({ host: inet?.[1]?.replace(/^\[(.*)\]$/, "$1") || "localhost", port: inet?.[2] }) : { path: unix };
  return { address, exportName, secure: false, credentials: undefined, hostName: undefined };
}

function refused(reason: string): BlockError {
  return new BlockError("INVALID_OPTION", `nbd: ${reason}`);
}
