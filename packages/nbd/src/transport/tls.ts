/** TLS on a connection that has begun in the clear, for both sides. */

import { BlockError, type Clock } from "@coblock/core";
import type { TLSSocket } from "node:tls";
import { isIP } from "node:net";
import { Channel } from "./channel.ts";
import { expectPeer, ProtocolError } from "../protocol/protocol-error.ts";
import { ConnectionLost } from "./connection-lost.ts";
import { nameIn } from "./distinguished-name.ts";

/** Certificates as PEM. */
export interface TlsCertificates {
  readonly kind: "certificates";
  /** Whom to trust. */
  readonly authority: Buffer;
  /** Who we are; a server needs both, a client where the server asks. */
  readonly certificate?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** A client's: whether the server must prove who it is. Default true; a server has its own word for it in `ServerTls`. */
  readonly verifyPeer?: boolean | undefined;
}

/** Keys that both sides know. */
export interface TlsPreSharedKeys {
  readonly kind: "psk";
  readonly keys: ReadonlyMap<string, Buffer>;
  /** Which one a client uses. */
  readonly username: string;
}

/** How one side of a TLS connection proves who it is. */
export type TlsCredentials = TlsCertificates | TlsPreSharedKeys;

/** TLS for clients that ask for it, or for all. */
export interface ServerTls {
  readonly credentials: TlsCredentials;
  /** Clients without TLS learn nothing but that it is required. Default true. */
  readonly required?: boolean;
  /** Clients need a certificate of the authority. Default true. */
  readonly verifyPeer?: boolean;
  /**
   * Whether a client may go on, by the name in its certificate: "CN=laptop.example,O=Example", in the order of the certificate. It is cut off
   * where the answer is `false` and where asking fails. Needs certificates that are verified.
   */
  readonly authorize?: (name: string) => boolean | Promise<boolean>;
}

/** Suites that prove who is who by the key alone, or with a fresh secret on top. */
const PSK_SUITES = "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:DHE-PSK-AES256-GCM-SHA384:PSK-AES256-GCM-SHA384:PSK";

/** Makes a server's channel a secure one; takes its socket in the turn of the call. Rejects with ConnectionLost. */
export type StartServerTls = (channel: Channel) => Promise<Channel>;

/** The server's side. Node's TLS is loaded now, and only for who needs it. Throws INVALID_OPTION where clients would have no name to authorize. */
export async function prepareServerTls({ credentials, verifyPeer = true, authorize }: ServerTls, clock: Clock): Promise<StartServerTls> {
  if (authorize !== undefined && (credentials.kind !== "certificates" || !verifyPeer))
    throw new BlockError("INVALID_OPTION", "clients can be authorized by verified certificates alone");
  const { createSecureContext, createServer } = await import("node:tls");
  const options = serverOptions(credentials, verifyPeer);
  checkUsable(() => createSecureContext(options));
  return async (channel) => {
    const server = createServer({ ...options, allowHalfOpen: true });
    const socket = channel.release();
    const secured = new Promise<TLSSocket>((resolve, reject) => {
      server.once("secureConnection", resolve);
      server.once("tlsClientError", (cause) => reject(new ConnectionLost(`TLS handshake failed: ${tlsWords(cause)}`, { cause })));
      socket.once("close", () => reject(new ConnectionLost("the client left during the TLS handshake")));
    });
    server.emit("connection", socket);
    socket.resume();
    const secure = await secured;
    if (authorize !== undefined) await expectAuthorized(secure, authorize);
    return new Channel(secure, clock);
  };
}

/** Throws INVALID_OPTION for certificates and keys that are none, or do not belong together. */
function checkUsable<Result>(load: () => Result): Result {
  try {
    return load();
  } catch (cause) {
    throw new BlockError("INVALID_OPTION", `The TLS credentials cannot be used: ${tlsWords(cause as TlsFault)}`, { cause });
  }
}

/** What OpenSSL says, without the place in its sources. */
interface TlsFault extends NodeJS.ErrnoException {
  readonly reason?: string;
}

function tlsWords({ code, message, reason }: TlsFault): string {
  if (code === "ECONNRESET") return "the other side hung up";
  // OpenSSL names the version whose alert it first was.
  return (reason ?? message).replace(/^(?:sslv3|tlsv1|tlsv13) alert /, "the other side refused: ");
}

async function expectAuthorized(socket: TLSSocket, authorize: NonNullable<ServerTls["authorize"]>): Promise<void> {
  const certificate = socket.getPeerX509Certificate();
  expectPeer(certificate !== undefined, "the client has shown no certificate");
  const name = nameIn(certificate.subject);
  let isAllowed: boolean;
  try {
    isAllowed = await authorize(name);
  } catch (cause) {
    throw new ProtocolError(`TLS x509 authz check for ${name} failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  expectPeer(isAllowed, `TLS x509 authz check for ${name} is denied`);
}

function serverOptions(credentials: TlsCredentials, verifyPeer: boolean): object {
  if (credentials.kind === "psk")
    return { ciphers: PSK_SUITES, pskCallback: (_: unknown, name: string) => credentials.keys.get(name) ?? null };
  const { authority, certificate, key } = credentials;
  return { ca: authority, cert: certificate, key, requestCert: verifyPeer, rejectUnauthorized: verifyPeer };
}

/** The client's side. A certificate that is to be verified must be for `hostName`, which may be absent only where none is. Throws BlockError NOT_ALLOWED. */
export async function startClientTls(
  channel: Channel,
  credentials: TlsCredentials,
  hostName: string | undefined,
  clock: Clock,
): Promise<Channel> {
  const { connect, createSecureContext } = await import("node:tls");
  const options = clientOptions(credentials, hostName);
  const secureContext = checkUsable(() => createSecureContext(options));
  const socket = channel.release();
  const secure = connect({ socket, ...options, secureContext });
  await new Promise<void>((resolve, reject) => {
    secure.once("secureConnect", resolve);
    secure.once("error", (cause) => reject(new BlockError("NOT_ALLOWED", reasonOf(cause, hostName), { cause })));
    secure.once("close", () => reject(new ConnectionLost("the server left during the TLS handshake")));
  });
  return new Channel(secure, clock);
}

/** What is wrong with a certificate, in QEMU's words. */
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "The certificate has expired",
  CERT_NOT_YET_VALID: "The certificate is not yet activated",
  CERT_REVOKED: "The certificate has been revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The certificate hasn't got a known issuer",
  SELF_SIGNED_CERT_IN_CHAIN: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The certificate hasn't got a known issuer",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The certificate hasn't got a known issuer",
};

function reasonOf(fault: TlsFault, hostName: string | undefined): string {
  const { code = "" } = fault;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `Certificate does not match the hostname ${hostName}`;
  return CERTIFICATE_FAULTS[code] ?? `TLS handshake failed: ${tlsWords(fault)}`;
}

function clientOptions(credentials: TlsCredentials, hostName: string | undefined): object {
  if (credentials.kind === "psk") {
    const psk = credentials.keys.get(credentials.username);
    if (psk === undefined) throw new BlockError("INVALID_OPTION", `there is no pre-shared key for user '${credentials.username}'`);
    const pskCallback = (): object => ({ psk, identity: credentials.username });
    return { ciphers: PSK_SUITES, pskCallback, checkServerIdentity: () => undefined };
  }
  const { authority, certificate, key, verifyPeer = true } = credentials;
  const options = { ca: authority, rejectUnauthorized: verifyPeer, ...(certificate === undefined ? {} : { cert: certificate, key }) };
  if (hostName === undefined) return options;
  return { ...options, host: hostName, ...(isIP(hostName) === 0 ? { servername: hostName } : {}) };
}
