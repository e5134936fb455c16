/** Opens exports of NBD servers. */

import { type BlockDriver, BlockError, type Clock, CoSleep, type OpenContext } from "@coblock/core";
import type { NbdOptions } from "../entry.ts";
import { hasFlag } from "../protocol/export-info.ts";
import type { ListedExport } from "../protocol/listed-export.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import type { Channel } from "../transport/channel.ts";
import { ConnectionLost } from "../transport/connection-lost.ts";
import { describeAddress, dial } from "../transport/dial.ts";
import { startClientTls, type TlsCredentials } from "../transport/tls.ts";
import { ClientConnection } from "./client-connection.ts";
import { ClientHandshake, type DescribedExport } from "./client-handshake.ts";
import { ClientLink, type Connect } from "./client-link.ts";
import { NbdImage } from "./nbd-image.ts";
import { fileNameOf, type NbdTarget, resolveTarget } from "./target.ts";

const optionNames = [
  "filename",
  "server",
  "path",
  "host",
  "port",
  "connect",
  "export",
  "tlsCreds",
  "tlsHostname",
  "reconnectDelay",
  "openTimeout",
  "connections",
];
/** For a server that accepts and then says nothing. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
const OPEN_PAUSE_MS = 200;
const MAX_CONNECTIONS = 16;

/** `nbd`: see `NbdOptions`. */
export const driver: BlockDriver<"nbd"> = Object.freeze({ name: "nbd", kind: "protocol", optionNames, open });

/** See `nbdDriverWith`. */
export function driverWith(find: (id: string) => TlsCredentials): BlockDriver<"nbd"> {
  const named = (given: NbdOptions): NbdOptions => {
    // Options that came as text may be of any type.
    const id: unknown = given.tlsCreds;
    return typeof id === "string" ? { ...given, tlsCreds: find(id) } : given;
  };
  return Object.freeze({ ...driver, open: async (options: NbdOptions, context: OpenContext) => open(named(options), context) });
}

async function open(options: NbdOptions, context: OpenContext): Promise<NbdImage> {
  const { clock, nodeName, readOnly } = context;
  const reconnectDelayMs = milliseconds("reconnectDelay", options.reconnectDelay);
  const openTimeoutMs = milliseconds("openTimeout", options.openTimeout);
  const { connections = 1 } = options;
  if (!Number.isInteger(connections) || connections < 1 || connections > MAX_CONNECTIONS)
    throw new BlockError("INVALID_OPTION", `nbd: 'connections' is ${connections}, and must be 1 to ${MAX_CONNECTIONS}`);
  const target = await resolveTarget(options);
  const server = describeAddress(target.address);
  const connect: Connect = (onLost, signal) => connectAll(target, connections, clock, onLost, signal);
  const parts = { server, connect, reconnectDelayMs, clock, readOnly };
  const link = await openLink(parts, openTimeoutMs, context.signal ?? new AbortController().signal);
  if (!readOnly && hasFlag(link.agreement.flags, "readOnly")) {
    await link.close();
    throw new BlockError("READ_ONLY", `${server}: export '${target.exportName}' is read-only`, { node: nodeName });
  }
  const identity = "connect" in target.address ? undefined : `nbd ${server} ${target.exportName}`;
  return new NbdImage(link, { identity, fileName: fileNameOf(target) }, clock);
}

/** The exports that a server lists. Throws as opening does. */
export async function listExports(options: NbdOptions, clock: Clock): Promise<readonly ListedExport[]> {
  const target = await resolveTarget(options);
  return handshaken(target, clock, undefined, async (handshake, channel) => {
    const found = await handshake.list();
    channel.finish();
    return found;
  });
}

/** The exports that a server lists, with what it tells of each. Throws as opening does. */
export async function describeExports(options: NbdOptions, clock: Clock): Promise<readonly DescribedExport[]> {
  const target = await resolveTarget(options);
  return handshaken(target, clock, undefined, async (handshake, channel) => {
    const found = await handshake.describe();
    channel.finish();
    return found;
  });
}

async function openLink(parts: Parameters<typeof ClientLink.open>[0], timeoutMs: number, signal: AbortSignal): Promise<ClientLink> {
  const giveUpMs = parts.clock.now() + timeoutMs;
  for (;;) {
    try {
      return await ClientLink.open(parts, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (parts.clock.now() >= giveUpMs) throw error;
      await new CoSleep().sleep(parts.clock, OPEN_PAUSE_MS, { signal });
    }
  }
}

/** One connection, and more where the server lets several see the same. A failure leaves none. */
async function connectAll(
  target: NbdTarget,
  count: number,
  clock: Clock,
  onLost: (error: Error) => void,
  signal: AbortSignal,
): Promise<ClientConnection[]> {
  const connections: ClientConnection[] = [];
  const server = describeAddress(target.address);
  try {
    const connect = (): Promise<ClientConnection> =>
      handshaken(target, clock, signal, async (handshake) => new ClientConnection(await handshake.run(), server, clock, onLost));
    const first = await connect();
    connections.push(first);
    const wanted = hasFlag(first.agreement.flags, "multiConnection") ? count : 1;
    while (connections.length < wanted) connections.push(await connect());
    return connections;
  } catch (error) {
    for (const connection of connections) connection.destroy();
    throw error;
  }
}

/** Dials, and gives the handshake its time; on failure the connection is cut. Throws BlockErrors that name the server. */
async function handshaken<Result>(
  target: NbdTarget,
  clock: Clock,
  signal: AbortSignal | undefined,
  work: (handshake: ClientHandshake, channel: Channel) => Promise<Result>,
): Promise<Result> {
  const { address, exportName, tls } = target;
  const channel = await dial(address, tls !== undefined, clock, signal);
  const cut = (reason: string): void => channel.destroy(new ConnectionLost(reason));
  const abort = (): void => cut("the connection was given up");
  signal?.addEventListener("abort", abort, { once: true });
  using _limit = clock.schedule(HANDSHAKE_TIMEOUT_MS, () =>
    cut(`the server took longer than ${HANDSHAKE_TIMEOUT_MS / 1000} s for the handshake`),
  );
  const startTls = tls && ((plain: Channel): Promise<Channel> => startClientTls(plain, tls.credentials, tls.hostName, clock));
  try {
    return await work(new ClientHandshake(channel, { exportName, startTls }), channel);
  } catch (error) {
    cut("the handshake failed");
    throw namingServer(error, describeAddress(address));
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function namingServer(error: unknown, server: string): unknown {
  const isPeers = error instanceof ConnectionLost || error instanceof ProtocolError;
  if (!isPeers && !(error instanceof BlockError)) return error;
  return new BlockError(isPeers ? "IO" : error.code, `${server}: ${error.message}`, { cause: error });
}

function milliseconds(name: string, seconds: number | undefined): number {
  if (seconds === undefined) return 0;
  if (typeof seconds !== "number" || !(seconds >= 0))
    throw new BlockError("INVALID_OPTION", `nbd: '${name}' is ${String(seconds)}, no number of seconds`);
  return seconds * 1000;
}
