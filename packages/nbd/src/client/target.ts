/** Which export of which server is meant: URIs and options turned into one description. */

import { join } from "node:path";
import type { NbdOptions, TlsFolder } from "../entry.ts";
import type { TlsCredentials } from "../transport/tls.ts";
import { loadCertificates, loadPreSharedKeys } from "../transport/tls-folder.ts";
import type { DialAddress } from "../transport/dial.ts";
import { parseNbdUri, refused } from "./nbd-uri.ts";

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
  const places = Object.entries({ server, path, host, connect }).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (places.length === 0) throw refused("no server is named ('server', 'path', 'host' or 'filename')");
  if (places.length > 1) throw refused(`options '${places[0]}' and '${places[1]}' exclude each other`);
  return {
    address: connect === undefined ? addressOf(server === undefined ? { path, host, port } : serverWords(server)) : { connect },
    exportName: options.export ?? "",
    secure: options.tlsCreds !== undefined,
    credentials: options.tlsCreds,
    hostName: options.tlsHostname,
  };
}

function serverWords(server: NonNullable<NbdOptions["server"]>): AddressWords {
  // Options that came as text may lack anything.
  const given: Readonly<Record<string, unknown>> = { ...server };
  const needed = given["type"] === "unix" ? "path" : given["type"] === "inet" ? "host" : "type";
  if (given[needed] === undefined) throw refused(`the server's '${needed}' is missing`);
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

function fromUri(name: string): Words {
  const { secure, place, exportName, user, parameters } = parseNbdUri(name);
  const dir = parameters.get("tls-certificates");
  const keys = parameters.get("tls-psk-file");
  const verifyPeer = parameters.get("tls-verify-peer") !== "0";
  const certificates = dir === undefined ? undefined : { dir, verifyPeer };
  return {
    address: addressOf("path" in place ? place : { ...place, host: place.host || "localhost" }),
    exportName,
    secure,
    credentials: keys === undefined ? certificates : { keys, username: parameters.get("tls-username") ?? user ?? "qemu" },
    hostName: parameters.get("tls-hostname"),
  };
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
