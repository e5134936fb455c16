/** Serves an image as qemu-nbd does: until a signal comes, or the last client has left. */

import { writeFileSync } from "node:fs";
import { BlockError, errnoWords, type BlockGraph, type BlockNode } from "@coblock/core";
import type { NbdExport, ServerTls } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import { openFlagged } from "../flagged-image.ts";
import type { Session } from "../session.ts";
import { parseSnapshotWords } from "../snapshot-words.ts";
import { tellReady } from "./background.ts";
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
  await (invocation.has("t") ? untilSignal(session) : Promise.race([untilSignal(session), guests.gone]));
  await server.close();
  return 0;
}

function exportOf(invocation: Invocation, node: () => Promise<BlockNode>): NbdExport {
  const { flags, shared, detectZeroes } = invocation;
  return {
    name: invocation.value("x") ?? "",
    description: invocation.value("D") ?? "",
    node,
    writable: !flags.readOnly,
    bitmaps: [...new Set(invocation.values("B"))],
    allocationDepth: invocation.has("A"),
    writeThrough: flags.writeThrough,
    detectZeroes,
    multiConnection: shared !== 1,
  };
}

function tlsOf(invocation: Invocation, session: Session): ServerTls | undefined {
  const id = invocation.value("tls-creds");
  if (id === undefined) return undefined;
  const { side, credentials, verifyPeer } = session.tlsCredentials(id);
  if (side !== "server") throw new CommandFailure("Failed to get TLS creds: Expecting TLS credentials with a server endpoint");
  return { credentials, verifyPeer };
}

async function openDisk(graph: BlockGraph, name: string, invocation: Invocation, session: Session): Promise<BlockNode> {
  const image = await openImage(graph, name, invocation, session);
  const { offset, flags } = invocation;
  if (!flags.readOnly && image.readOnly) throw new CommandFailure(`'${name}' can only be read; -r serves it so`);
  if (offset !== undefined && offset > image.size)
    throw new CommandFailure(`Offset (${offset}) cannot be greater than size of the containing file (${image.size})`);
  const node = offset === undefined ? image : await offsetBy(graph, image, offset);
  for (const bitmap of invocation.values("B")) {
    try {
      await node.bitmaps.get(bitmap);
    } catch (cause) {
      if (!(cause instanceof BlockError) || cause.code !== "NOT_FOUND") throw cause;
      throw new CommandFailure(`Bitmap '${bitmap}' is not found`, 1, { cause });
    }
  }
  return node;
}

async function offsetBy(graph: BlockGraph, image: BlockNode, offset: number): Promise<BlockNode> {
  await using file = image;
  return await graph.open({ driver: "raw", offset, file }, { readOnly: image.readOnly });
}

async function openImage(graph: BlockGraph, name: string, invocation: Invocation, session: Session): Promise<BlockNode> {
  const { flags, lacksDirect } = invocation;
  const prefix = `Failed to blk_new_open '${name}'`;
  if (lacksDirect)
    throw new CommandFailure(`${prefix}: aio=native was specified, but it requires cache.direct=on, which was not specified.`);
  const words = invocation.has("image-opts") ? { filename: undefined, options: name } : { filename: name, format: invocation.value("f") };
  const savedState = parseSnapshotWords(invocation.value("l"));
  try {
    return await openFlagged(graph, session, { ...words, savedState, flags });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new CommandFailure(`${savedState === undefined ? prefix : "Failed to load snapshot"}: ${error.message}`, 1, { cause: error });
  }
}

function writePid(path: string | undefined): void {
  if (path === undefined) return;
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new CommandFailure(`Could not create '${path}': ${errnoWords((cause as NodeJS.ErrnoException).code ?? "EIO")}`, 1, { cause });
  }
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

async function untilSignal(session: Session): Promise<void> {
  if (!session.signal.aborted) await new Promise((resolve) => session.signal.addEventListener("abort", resolve, { once: true }));
}
