/** URIs of exports, taken apart. RFC 3986, and doc/uri.md of the NBD project; the parameters for TLS are libnbd's. */

import { BlockError } from "@coblock/core";

/** Parts as the URI has them, decoded. */
export interface NbdUri {
  readonly secure: boolean;
  /** A socket's path, or a server's host and port, which may be absent. */
  readonly place: { readonly path: string } | { readonly host: string; readonly port: string | undefined };
  readonly exportName: string;
  readonly user: string | undefined;
  /** Those of `PARAMETERS` that it has. */
  readonly parameters: ReadonlyMap<string, string>;
}

const PARAMETERS = ["socket", "tls-certificates", "tls-psk-file", "tls-username", "tls-hostname", "tls-verify-peer"];
const URI = /^([^:/?#]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/s;
const AUTHORITY = /^(?:([^@]*)@)?(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/s;

/** Throws INVALID_OPTION for what is no URI of NBD. */
export function parseNbdUri(name: string): NbdUri {
  const [, scheme = "", authority = "", path = "", query = "", fragment] = URI.exec(name) ?? refuse(`'${name}' is no URI`);
  const [, isSecure, way] = /^nbd(s?)(?:\+(tcp|unix))?$/.exec(scheme) ?? refuse(`'${scheme}' is no scheme of NBD`);
  if (fragment !== undefined) refuse(`'${name}' goes on behind a '#', which is written as %23`);
  const [, user, host = "", port] = AUTHORITY.exec(authority) ?? refuse(`'${name}' is no URI: '${authority}' names no server`);
  const decode = (text: string): string => decoded(text, name);
  const parameters = parametersOf(query, name);
  const socket = parameters.get("socket");
  if (way === "unix" && socket === undefined) refuse(`'${name}' names no socket`);
  if (way !== "unix" && socket !== undefined) refuse(`'${name}' names a socket, but is not of nbd+unix`);
  if (way === "unix" && (host !== "" || port !== undefined)) refuse(`'${name}' names a host and a socket`);
  return {
    secure: isSecure === "s",
    place:
      socket === undefined ? { host: decode(host.replace(/^\[(.*)\]$/, "$1")), port: port === "" ? undefined : port } : { path: socket },
    // Only one slash stands between the server and the name, and dots in it are no folders.
    exportName: decode(path.slice(1)),
    user: user === undefined || user === "" ? undefined : decode(user),
    parameters,
  };
}

/** A plus sign is no space, as it is in forms of web pages. */
function parametersOf(query: string, name: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const [parameter = "", ...value] = part.split("=");
    if (!PARAMETERS.includes(parameter)) refuse(`'${name}' has the unknown parameter '${parameter}'`);
    found.set(parameter, decoded(value.join("="), name));
  }
  return found;
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse(`'${name}' has a '%' that no two hexadecimal digits follow, or bytes that are no UTF-8`);
  }
}

function refuse(reason: string): never {
  throw refused(reason);
}

/** What is wrong with a name or an option. */
export function refused(reason: string): BlockError {
  return new BlockError("INVALID_OPTION", `nbd: ${reason}`);
}
