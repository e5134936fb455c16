/** Serves an image as qemu-nbd does: until a signal comes, or the last client has left. */

import { writeFileSync } from "node:fs";
import { errnoWords, type BlockNode } from "@coblock/core";
import type { ServerTls } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import type { Session } from "../session.ts";
import { tellReady } from "./background.ts";
import { exportOf, openDisk } from "./disk.ts";
import { Guests } from "./guests.ts";
import { addressOf, listen } from "./listen.ts";
import type { Invocation } from "./words.ts";

/** As many as `--shared=0` means: what the process has file descriptors for ends it earlier. */
const ANY_NUMBER = 1_000_000;

/** Answers the exit code. Throws CommandFailure. */
export async function serve(name: string, invocation: Invocation, session: Session): Promise<number> {
  const { shared } = invocation;
  session.endOnHangup();
  const disk = later<BlockNode>();
  const guests = new Guests(invocation.has("v") ? session : undefined);
  const options = {
    listen: addressOf(invocation, session),
    tls: tlsOf(invocation, session),
    exports: [exportOf(invocation, async () => (await disk.promise).retain())],
    maxConnections: shared === 0 ? ANY_NUMBER : shared,
    whenFull: "wait" as const,
    clock: session.clock,
    onEvent: guests.onEvent,
  };
  if (invocation.has("image-opts") && invocation.has("f")) throw new CommandFailure("--image-opts and -f are mutually exclusive");
  await using graph = session.createGraph();
  // It listens first, as QEMU does: of two problems the same one is told. Clients wait for the disk.
  await using server = await listen(options);
  await using node = await openDisk(graph, name, invocation, session).catch(async (error: unknown) => {
    disk.reject(error);
    await server.close();
    throw error;
  });
  disk.resolve(node);
  writePid(invocation.value("pid-file"));
  tellReady(session);
  await (invocation.has("t") ? session.untilSignal() : Promise.race([session.untilSignal(), guests.gone]));
  await server.close();
  return 0;
}

/** `--pid-file`. Throws CommandFailure. */
export function writePid(path: string | undefined): void {
  if (path === undefined) return;
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new CommandFailure(`Could not create '${path}': ${errnoWords((cause as NodeJS.ErrnoException).code ?? "EIO")}`, 1, { cause });
  }
}

function tlsOf(invocation: Invocation, session: Session): ServerTls | undefined {
  const id = invocation.value("tls-creds");
  if (id === undefined) return undefined;
  const { side, credentials, verifyPeer } = session.tlsCredentials(id);
  if (side !== "server") throw new CommandFailure("Failed to get TLS creds: Expecting TLS credentials with a server endpoint");
  const authorization = invocation.value("tls-authz");
  if (authorization === undefined) return { credentials, verifyPeer };
  if (credentials.kind !== "certificates" || !verifyPeer)
    throw new CommandFailure("--tls-authz needs certificates that are verified: tls-creds-x509 with verify-peer=on");
  return { credentials, verifyPeer, authorize: session.authorization(authorization) };
}

interface Later<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(error: unknown): void;
}

/** Settled by whoever has the value; nobody need wait for it. */
function later<Value>(): Later<Value> {
  let settle: Omit<Later<Value>, "promise"> | undefined;
  const promise = new Promise<Value>((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => {});
  return { promise, resolve: (value) => settle?.resolve(value), reject: (error) => settle?.reject(error) };
}
