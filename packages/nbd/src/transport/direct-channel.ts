/** Sockets that read right into the buffers of whoever asked: without a buffer of its own for each piece, and without a copy. */

import type { Clock } from "@coblock/core";
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import { ByteStream } from "./byte-stream.ts";
import { Channel } from "./channel.ts";

/** `make` makes the socket, which takes its buffers from `onread` from then on. */
export function directChannel(make: (onread: OnReadOpts) => Socket, clock: Clock): Channel {
  // The socket asks for a buffer before `make` returns.
  const stream: ByteStream = new ByteStream({ pause: () => socket.pause(), resume: () => socket.resume() });
  const receive = (length: number, buffer: Uint8Array): boolean => {
    try {
      stream.receiveInto(length, buffer);
    } catch (error) {
      channel.destroy(error as Error);
    }
    return true;
  };
  const socket = make({ buffer: () => stream.nextBuffer(), callback: receive });
  const channel = new Channel(socket, clock, stream);
  return channel;
}

/** What a socket stands on: Node's documentation names it where it says what `server.listen` takes. */
interface Standing {
  _handle?: object | null;
}

/**
 * For a socket that a server has accepted and that nobody reads from yet: servers make sockets that allocate a buffer for each piece, and what
 * that adds up to keeps the garbage collector busier than all else. `undefined` where there is nothing to stand on: the socket is as it was.
 */
export function acceptDirectly(accepted: Socket, clock: Clock): Channel | undefined {
  const standing = accepted as Standing;
  const handle = standing._handle;
  if (typeof handle !== "object" || handle === null) return undefined;
  standing._handle = null;
  accepted.destroy();
  return directChannel((onread) => new Socket({ handle, allowHalfOpen: true, onread } as SocketConstructorOpts), clock);
}
