/** Names of certificates in one line, as GnuTLS writes them and QEMU's objects for authorization compare them. RFC 4514, in the certificate's order. */

/** Where GnuTLS calls an attribute otherwise than OpenSSL does. */
const OTHER_NAMES: Readonly<Record<string, string>> = { emailAddress: "EMAIL", SN: "sn", GN: "givenName", street: "STREET" };

/** `subject`: as Node has it, a line for each attribute, whose special characters are escaped; those that belong together have " + " between. */
export function nameIn(subject: string): string {
  return subject
    .split("\n")
    .map((line) => line.split(" + ").map(attributeIn).join("+"))
    .join(",");
}

function attributeIn(text: string): string {
  const equals = text.indexOf("=");
  const name = text.slice(0, equals);
  return `${OTHER_NAMES[name] ?? name}${text.slice(equals)}`;
}
