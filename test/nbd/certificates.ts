/** Certificates for tests, with the file names that QEMU and libnbd look for. */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const DAYS = "9";

function openssl(...words: readonly string[]): void {
  execFileSync("openssl", words, { stdio: "pipe" });
}

/** A folder with an authority, and certificates of it for both sides, which are called localhost. */
export function makeCertificates(folder: string): void {
  mkdirSync(folder);
  const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", join(folder, "ca-key.pem")];
  openssl("req", "-x509", ...key, "-out", join(folder, "ca-cert.pem"), "-days", DAYS, "-subj", "/CN=authority");
  sign(folder, folder, "server", "/CN=localhost");
  sign(folder, folder, "client", "/CN=localhost");
}

/** A folder with a client's certificate of the same authority, for the name that OpenSSL writes as `subject`. */
export function makeClient(authority: string, folder: string, subject: string): void {
  mkdirSync(folder);
  copyFileSync(join(authority, "ca-cert.pem"), join(folder, "ca-cert.pem"));
  sign(authority, folder, "client", subject);
}

function sign(authority: string, folder: string, side: "server" | "client", subject: string): void {
  const at = (name: string): string => join(folder, `${side}${name}`);
  openssl(
    "req",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-utf8",
    "-multivalue-rdn",
    "-keyout",
    at("-key.pem"),
    "-out",
    at(".csr"),
    "-subj",
    subject,
  );
  writeFileSync(
    at(".ext"),
    `subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=${side}Auth\nkeyUsage=digitalSignature,keyEncipherment\n`,
  );
  const signing = ["-CA", join(authority, "ca-cert.pem"), "-CAkey", join(authority, "ca-key.pem"), "-CAcreateserial", "-days", DAYS];
  openssl("x509", "-req", "-in", at(".csr"), "-out", at("-cert.pem"), ...signing, "-extfile", at(".ext"));
}
