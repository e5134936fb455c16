/** Connects to a server; data then comes right into the buffers of who asked for it. */

import { BlockError, type Clock, errnoWords } from "@coblock/core";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Channel } from "./channel.ts";
import { directChannel } from "./direct-channel.ts";

/** Makes a connection that carries bytes both ways; rejects with what is in the way. */
export type ConnectStream = (signal: AbortSignal | undefined) => Promise<Duplex>;

/** A Unix socket, TCP, or whatever else somebody connects. */
export type DialAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly connect: ConnectStream };

/** `forTls`: the socket will be given to TLS, which wants to read itself. Throws NOT_FOUND where nobody listens, or IO; the signal's reason. */
export async function dial(address: DialAddress, forTls: boolean, clock: Clock, signal?: AbortSignal): Promise<Channel> {
  signal?.throwIfAborted();
  if ("connect" in address) return new Channel(await address.connect(signal), clock);
  const { socket, channel } = forTls ? open(address, clock) : openDirect(address, clock);
  const abort = (): void => void socket.destroy();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed")));
    });
    return channel;
  } catch (cause) {
    socket.destroy();
    signal?.throwIfAborted();
    throw new BlockError(
      isNobody(cause) ? "NOT_FOUND" : "IO",
      `Could not connect to ${describeAddress(address)}: ${socketWords(cause as NodeJS.ErrnoException)}`,
      { cause },
    );
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** As messages name a server. */
export function describeAddress(address: DialAddress): string {
  if ("connect" in address) return "the server";
  return "path" in address ? address.path : `${address.host}:${address.port}`;
}

/** What is wrong with a place where somebody wants to connect or to listen. Where several addresses were tried, Node has no message. */
export function socketWords({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ENOTFOUND") return "Name or service not known";
  if (code === "EAI_AGAIN") return "Temporary failure in name resolution";
  return code === undefined ? message : errnoWords(code);
}

function open(address: SocketAddress, clock: Clock): { readonly socket: Socket; readonly channel: Channel } {
  const socket = connect({ ...address, noDelay: true });
  return { socket, channel: new Channel(socket, clock) };
}

function openDirect(address: SocketAddress, clock: Clock): { readonly socket: Socket; readonly channel: Channel } {
  const channel = directChannel((onread) => connect({ ...address, noDelay: true, onread }), clock);
  return { socket: channel.socket as Socket, channel };
}

type SocketAddress = Exclude<DialAddress, { readonly connect: ConnectStream }>;

function isNobody(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ECONNREFUSED";
}
