/** The `nbd` driver as graphs list it: its names and options; the rest is loaded with the first image. */

import type { DriverEntry } from "@coblock/core";
import type { ConnectStream } from "./transport/dial.ts";
import type { TlsCredentials } from "./transport/tls.ts";

/** Credentials in files: certificates in a folder as QEMU has them, or with `username` the pre-shared keys in its `keys.psk`. */
export interface TlsFolder {
  readonly dir: string;
  readonly username?: string;
}

/** What an `nbd` node is opened with: a server and one of its exports. */
export interface NbdOptions {
  /** A URI (`nbd://host:port/export`, `nbd+unix:///export?socket=/path`, `nbds://…`), or QEMU's `nbd:host:port:exportname=…`. */
  readonly filename?: string;
  /** Instead of `filename`. */
  readonly server?:
    | { readonly type: "unix"; readonly path: string }
    | { readonly type: "inet"; readonly host: string; readonly port?: number | string };
  readonly path?: string;
  readonly host?: string;
  readonly port?: number | string;
  /** In a program: makes a connection where the server is behind something else than a socket of its own. Called anew after each loss. */
  readonly connect?: ConnectStream;
  /** Default "". */
  readonly export?: string;
  readonly tlsCreds?: TlsFolder | TlsCredentials;
  /** The name that the server's certificate must be for; default the host. Needed on Unix sockets. */
  readonly tlsHostname?: string;
  /** Seconds for which requests wait for a connection that was lost. Default 0: they fail, and later ones find a new connection. */
  readonly reconnectDelay?: number;
  /** Seconds for which opening tries again. Default 0. */
  readonly openTimeout?: number;
  /** Connections at one time, where the server can serve several. Default 1. */
  readonly connections?: number;
}

declare module "@coblock/core" {
  interface DriverOptions {
    nbd: NbdOptions;
  }
}

/** Exports of NBD servers. */
export const nbdDriver: DriverEntry = {
  name: "nbd",
  kind: "protocol",
  connects: true,
  schemes: ["nbd+tcp", "nbd+unix", "nbds", "nbds+tcp", "nbds+unix"],
  load: async () => (await import("./client/driver.ts")).driver,
};

/** The same where credentials have names: an option `tlsCreds` that is a text stands for what `find` answers. It throws INVALID_OPTION for names of none. */
export function nbdDriverWith(find: (id: string) => TlsCredentials): DriverEntry {
  return { ...nbdDriver, load: async () => (await import("./client/driver.ts")).driverWith(find) };
}
