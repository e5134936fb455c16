/** Options of a node checked and turned into what requests are made of. */

import { BlockError } from "@coblock/core";
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { HttpOptions } from "./entry.ts";

/** What one image asks its server with. */
export interface HttpSettings {
  readonly url: URL;
  /** As it was given. */
  readonly name: string;
  /** For messages: without the query, which may hold a key. */
  readonly shownUrl: string;
  /** Fields that only the origin of `url` may see. */
  readonly ownHeaders: Readonly<Record<string, string>>;
  readonly readaheadLength: number;
  readonly cacheLength: number;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly verifyTls: boolean;
  /** `undefined`: by host and port. */
  readonly connect: HttpOptions["connect"];
}

/** Of both drivers. */
export const OPTION_NAMES: readonly string[] = [
  "url",
  "filename",
  "readahead",
  "cacheSize",
  "connections",
  "timeout",
  "retries",
  "username",
  "passwordSecret",
  "cookie",
  "cookieSecret",
  "headers",
  "sslverify",
  "connect",
];

const MIB = 1024 * 1024;
const LIMITS = {
  readahead: { initial: 256 * 1024, min: 0, max: 16 * MIB },
  cacheSize: { initial: 8 * MIB, min: 0, max: 1024 * MIB },
  connections: { initial: 4, min: 1, max: 64 },
  retries: { initial: 5, min: 0, max: 100 },
} as const;
const DEFAULT_TIMEOUT = 5;
const MAX_TIMEOUT = 86_400;
/** Fields that say what is asked for, and how: those are the driver's. */
const RESERVED = /^(?:host|range|if-.*|accept-encoding|connection|keep-alive|upgrade|te|trailer|expect|content-.*|transfer-encoding)$/i;

/** Throws INVALID_OPTION, and NOT_FOUND for a secret that is not there. No message shows a password, a cookie or a query. */
export function resolveSettings(scheme: "http" | "https", options: HttpOptions, secret: (id: string) => Uint8Array): HttpSettings {
  const url = parseUrl(scheme, options);
  const { timeout = DEFAULT_TIMEOUT, sslverify = true } = options;
  if (typeof timeout !== "number" || !(timeout > 0 && timeout <= MAX_TIMEOUT))
    throw refused(`'timeout' is ${String(timeout)}, and must be above 0 and at most ${MAX_TIMEOUT} seconds`);
  if (typeof sslverify !== "boolean") throw refused(`'sslverify' is ${String(sslverify)}, and must be true or false`);
  const { connect } = options;
  if (connect !== undefined && typeof connect !== "function") throw refused("'connect' is no function");
  return {
    url,
    name: options.url ?? options.filename ?? url.href,
    shownUrl: `${url.origin}${url.pathname}${url.search === "" ? "" : "?…"}`,
    ownHeaders: ownHeaders(options, secret),
    readaheadLength: wholeNumber("readahead", options),
    cacheLength: wholeNumber("cacheSize", options),
    connections: wholeNumber("connections", options),
    timeoutMs: timeout * 1000,
    retries: wholeNumber("retries", options),
    verifyTls: sslverify,
    connect,
  };
}

function parseUrl(scheme: "http" | "https", { url: given, filename }: HttpOptions): URL {
  if (given !== undefined && filename !== undefined) throw refused("'url' and a file name exclude each other");
  const text = given ?? filename;
  if (typeof text !== "string" || text === "") throw refused("option 'url' is missing");
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The cause would show the whole URL, and a password in it.
    throw refused("the URL cannot be parsed");
  }
  if (url.protocol !== `${scheme}:` || !text.toLowerCase().startsWith(`${scheme}://`))
    throw refused(`driver '${scheme}' opens URLs that begin with '${scheme}://'`);
  if (url.username !== "" || url.password !== "")
    throw refused(`the URL of ${url.host} holds a name or a password: those belong into 'username' and 'password-secret'`);
  url.hash = "";
  return url;
}

function ownHeaders(options: HttpOptions, secret: (id: string) => Uint8Array): Record<string, string> {
  const { username, passwordSecret, cookie, cookieSecret, headers = [] } = options;
  const found: Record<string, string> = {};
  if (!Array.isArray(headers)) throw refused("'headers' is no list of lines 'Name: value'");
  for (const line of headers as readonly unknown[]) {
    const [, name = "", value = ""] = (typeof line === "string" ? /^([^:\s]+):[ \t]*(.*?)[ \t]*$/s.exec(line) : null) ?? [];
    if (name === "") throw refused("a line of 'headers' is not of the form 'Name: value'");
    if (RESERVED.test(name)) throw refused(`'headers' cannot set ${name}, which is the driver's own`);
    setHeader(found, name.toLowerCase(), value);
  }
  if (passwordSecret !== undefined && username === undefined) throw refused("'password-secret' needs 'username'");
  if (username !== undefined) {
    if (typeof username !== "string" || username.includes(":")) throw refused("'username' is no text without a colon");
    const password = passwordSecret === undefined ? new Uint8Array() : secret(passwordSecret);
    setHeader(found, "authorization", `Basic ${Buffer.concat([Buffer.from(`${username}:`), password]).toString("base64")}`);
  }
  if (cookie !== undefined && cookieSecret !== undefined) throw refused("'cookie' and 'cookie-secret' exclude each other");
  if (cookie !== undefined) setHeader(found, "cookie", cookie);
  if (cookieSecret !== undefined) setHeader(found, "cookie", Buffer.from(secret(cookieSecret)).toString());
  return found;
}

/** Once each: two words on one thing would be a guess. */
function setHeader(found: Record<string, string>, name: string, value: string): void {
  if (name in found) throw refused(`the field ${name} is given twice`);
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch {
    throw refused(`the field ${name} has characters that no request can hold`);
  }
  found[name] = value;
}

function wholeNumber(name: keyof typeof LIMITS, options: HttpOptions): number {
  const { initial, min, max } = LIMITS[name];
  const value = options[name] ?? initial;
  if (!Number.isInteger(value) || value < min || value > max) throw refused(`'${name}' is ${String(value)}, and must be ${min} to ${max}`);
  return value;
}

function refused(reason: string): BlockError {
  return new BlockError("INVALID_OPTION", `http: ${reason}`);
}
