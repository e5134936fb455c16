/** What qemu-img says of NBD servers that cannot be reached, named or used. */

import type { Wording } from "./wording.ts";

/** What the server told comes last, if it told anything. */
function reported(words: string): (whole: string, told?: string) => string {
  return (_, told) => (told === undefined ? words : `${words}\nserver reported: ${told}`);
}

export const nbdWordings: readonly Wording[] = [
  [/^.*: (Bitmap '.*' is (?:not found|inconsistent and cannot be used))$/s, "$1"],
  [/^Requested export '.*?' not available(?:: (.*))?$/s, reported("Requested export not available")],
  [
    /^the server serves nobody without TLS \(.*?\)(?:: (.*))?$/s,
    reported("TLS negotiation required before option 7 (go)\nDid you forget a valid tls-creds?"),
  ],
  [/^Could not connect to (.*): getaddrinfo ENOTFOUND .*$/s, "address resolution failed for $1: Name or service not known"],
  [/^Could not connect to (.*): getaddrinfo EAI_AGAIN .*$/s, "address resolution failed for $1: Temporary failure in name resolution"],
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
