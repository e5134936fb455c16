/** The drivers `http` and `https` as graphs list them: their names and options; the rest is loaded with the first image. */

import type { Duplex } from "node:stream";
import type { DriverEntry } from "@coblock/core";

/** Names and meanings are those of QEMU's driver where it has them. */
export interface HttpOptions {
  /** A URL with no name and password in it. */
  readonly url?: string;
  /** Instead of `url`. */
  readonly filename?: string;
  /** Bytes that are fetched at the most beyond a read that goes on where another ended. Default 256 KiB; 0: none. */
  readonly readahead?: number;
  /** Bytes of the file that are kept at the most. Default 8 MiB. */
  readonly cacheSize?: number;
  /** Requests at one time. Default 4. */
  readonly connections?: number;
  /** Seconds in which something must arrive. Default 5. */
  readonly timeout?: number;
  /** How often a range is asked for again after failures that may pass. Default 5. */
  readonly retries?: number;
  readonly username?: string;
  /** ID of the secret that is the password. */
  readonly passwordSecret?: string;
  /** Sent as it is: `name=value; other=value`. */
  readonly cookie?: string;
  /** ID of the secret that is the cookie. */
  readonly cookieSecret?: string;
  /** Further fields of requests: `Name: value`. */
  readonly headers?: readonly string[];
  /** In a program: makes a connection where the server is reached otherwise than by its host and port: a Unix socket, a tunnel. */
  readonly connect?: () => Promise<Duplex>;
  /** `https`: whether the server's certificate is verified. Default true. */
  readonly sslverify?: boolean;
}

declare module "@coblock/core" {
  interface DriverOptions {
    http: HttpOptions;
    https: HttpOptions;
  }
}

/** Files behind `http://` URLs, read-only. */
export const httpDriver: DriverEntry = {
  name: "http",
  kind: "protocol",
  connects: true,
  load: async () => (await import("./driver.ts")).httpDriver,
};

/** Files behind `https://` URLs, read-only. */
export const httpsDriver: DriverEntry = {
  name: "https",
  kind: "protocol",
  connects: true,
  load: async () => (await import("./driver.ts")).httpsDriver,
};
