/** Where qemu-nbd listens. */

import { lstatSync, unlinkSync } from "node:fs";
import { NbdServer, type NbdAddress, type NbdServerOptions } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import type { Session } from "../session.ts";
import type { Invocation } from "./words.ts";

/** Bytes of a path that the kernel takes, with the zero byte behind it. */
const MAX_PATH_LENGTH = 108;
const DEFAULT_PORT = "10809";
const DEFAULT_HOST = "0.0.0.0";

/** `-k`, or `-p` and `-b`. Throws CommandFailure. */
export function addressOf(invocation: Invocation, session: Session): NbdAddress {
  const path = invocation.value("k");
  if (path !== undefined) {
    if (Buffer.byteLength(path) < MAX_PATH_LENGTH) return { path };
    session.complain(`UNIX socket path '${path}' is too long`);
    session.note(`Path must be less than ${MAX_PATH_LENGTH} bytes`);
    throw new CommandFailure("");
  }
  const host = invocation.value("b") ?? DEFAULT_HOST;
  const port = invocation.value("p") ?? DEFAULT_PORT;
  if (!/^\d+$/.test(port) || Number(port) > 65_535)
    throw new CommandFailure(`address resolution failed for ${host}:${port}: Servname not supported for ai_socktype`);
  return { host, port: Number(port) };
}

/** A socket that an earlier server left is replaced; another file stays. Throws what `NbdServer.start` throws. */
export async function listen(options: NbdServerOptions & { readonly listen: NbdAddress }): Promise<NbdServer> {
  const { listen: address } = options;
  if ("path" in address && lstatSync(address.path, { bigint: true, throwIfNoEntry: false })?.isSocket() === true) unlinkSync(address.path);
  return NbdServer.start(options);
}
