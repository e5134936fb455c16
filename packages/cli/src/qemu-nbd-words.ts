/** What qemu-img and qemu-nbd say of NBD servers that cannot be reached, named or used, and of places where none can listen. */

import type { Wording } from "./wording.ts";

/** What the server told comes last, if it told anything. */
function reported(words: string): (whole: string, told?: string) => string {
  return (_, told) => withReport(words, told);
}

function withReport(words: string, told: string | undefined): string {
  return told === undefined ? words : `${words}\nserver reported: ${told}`;
}

const END = "Unexpected end-of-file before all data were read";

/** Options of the handshake that can be refused, as QEMU numbers and names them. */
const OPTIONS: Readonly<Record<string, string>> = { START_TLS: "5 (starttls)", LIST: "3 (list)", INFO: "6 (info)", GO: "7 (go)" };
const REFUSALS: Readonly<Record<string, string>> = {
  POLICY: "Denied by server for option",
  INVALID: "Invalid parameters for option",
  PLATFORM: "Server lacks support for option",
  SHUTDOWN: "Server shutting down before option",
  BLOCK_SIZE_REQUIRED: "Server requires INFO_BLOCK_SIZE for option",
};

function refusedWords(_: string, option = "", why = "", told?: string): string {
  if (option === "START_TLS" && why === "UNSUPPORTED") return "Server don't support STARTTLS option";
  return withReport(`${REFUSALS[why] ?? "Unknown error code when asking for option"} ${OPTIONS[option] ?? option}`, told);
}

function tlsWords(_: string, option = "", told?: string): string {
  return withReport(`TLS negotiation required before option ${OPTIONS[option] ?? option}\nDid you forget a valid tls-creds?`, told);
}

/** A handshake that fails; QEMU does not name the server. */
const handshakeWordings: readonly Wording[] = [
  [/^.*?: Requested export '.*?' not available(?:: (.*))?$/s, reported("Requested export not available")],
  [/^.*?: the server answers ([A-Z_]+) over TLS alone \(.*?\)(?:: (.*))?$/s, tlsWords],
  [/^.*?: the server refuses ([A-Z_]+) \((.*?)\)(?:: (.*))?$/s, refusedWords],
  [/^.*?: the server closed the connection in front of its greeting$/s, `Failed to read initial magic: ${END}`],
  [/^.*?: the server closed the connection in front of its flags$/s, `Failed to read server flags: ${END}`],
  [/^.*?: the server closed the connection in front of its answer to .*$/s, `Failed to read option reply: ${END}`],
  [/^.*?: the server hung up when it was asked for export '.*'$/s, `Failed to read export length: ${END}`],
  [/^.*?: this is no NBD server: it begins with (0x[0-9a-f]+), not with NBDMAGIC$/s, "Bad initial magic received: $1"],
  [/^.*?: the server's greeting is of no known style: it has (0x[0-9a-f]+)$/s, "Bad server magic received: $1"],
  [/^.*?: a reply to an option does not begin with its magic number$/s, "Unexpected option reply magic"],
  [/^.*?: (TLS handshake failed): the other side hung up$/s, "$1: The TLS connection was non-properly terminated."],
  [/^.*?: (The certificate ha.*|The certificate is not yet .*|Certificate does not match .*|TLS handshake failed: .*)$/s, "$1"],
  [/^.*?: (Server does not support export lists)$/s, "$1"],
  [/^.*?: export '.*' is read-only$/s, "Could not open image: Permission denied"],
];

export const nbdWordings: readonly Wording[] = [
  [/^.*: (Bitmap '.*' is (?:not found|inconsistent and cannot be used))$/s, "$1"],
  ...handshakeWordings,
  [
    /^Could not connect to (.*): (Name or service not known|Temporary failure in name resolution)$/s,
    "address resolution failed for $1: $2",
  ],
  [/^Could not connect to (.*): (.*)$/s, "Failed to connect to '$1': $2"],
  [/^Could not listen on (\/.*): (.*)$/s, "Failed to bind socket to $1: $2"],
  [
    /^Could not listen on (.*): (?:Name or service not known|Temporary failure in name resolution)$/s,
    "address resolution failed for $1: Name or service not known",
  ],
  [/^Could not listen on .*: (Address already in use)$/s, "Failed to find an available port: $1"],
  [/^Could not listen on .*: (.*)$/s, "Failed to bind socket: $1"],
  [/^nbd: 'nbd:' is neither .*$|^nbd: no server is named .*$/s, "NBD server address missing"],
  [/^nbd: 'nbd:(.*)' is neither a URI nor .*$/s, "error parsing address '$1'"],
  [/^nbd: '.*' (?:is no URI|names no socket|names a|has the unknown parameter|has a '%'|goes on behind).*$/s, "No valid URL specified"],
  [/^nbd: '.*' is no port$/s, "No valid URL specified"],
  [/^nbd: options '(.*)' and '(.*)' exclude each other$/s, "$1 and $2 may not be used at the same time"],
  [/^nbd: the server's '(.*)' is missing$/s, "Parameter '$1' is missing"],
  [/^nbd: server type '(.*)' is none of .*$/s, "Parameter 'type' does not accept value '$1'"],
  [/^nbd: 'reconnectDelay' is .*, no number of seconds$/s, "Parameter 'reconnect-delay' expects a number"],
  [/^nbd: 'openTimeout' is .*, no number of seconds$/s, "Parameter 'open-timeout' expects a number"],
];
