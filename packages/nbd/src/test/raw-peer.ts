/** A peer that sends any bytes, for tests of what the other side makes of them. */

import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockGraph, memoryDriver, SystemClock } from "@coblock/core";
import { nbdDriver } from "../entry.ts";
import { encodeClientGreeting, encodeServerGreeting } from "../protocol/greeting.ts";
import { decodeOptionHeader, decodeOptionReplyHeader, encodeOption, encodeOptionReply } from "../protocol/option.ts";
import { OPTION, OPTION_ERROR, OPTION_REPLY } from "../protocol/codes.ts";
import { encodeExportInfo, encodeInfoRequest, type ExportInfo } from "../protocol/export-info.ts";
import { encodeRequest, type RequestHeader } from "../protocol/request.ts";
import { encodeMetaContext } from "../protocol/meta-context.ts";
import { Channel } from "../transport/channel.ts";

/** Sockets and a graph that end with the test. */
export class RawPeers implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "coblock-nbd-raw-"));
  readonly graph: BlockGraph = new BlockGraph({ drivers: [memoryDriver, nbdDriver] });
  readonly #servers: Server[] = [];
  readonly #sockets: Set<Socket> = new Set();
  #count = 0;

  path(): string {
    return join(this.folder, `${this.#count++}.sock`);
  }

  /** A client of the server that listens there; with `stays` it does not leave when the server does. */
  async client(path: string, { stays = false }: { readonly stays?: boolean } = {}): Promise<RawClient> {
    const socket = connect({ path, allowHalfOpen: stays });
    this.#sockets.add(socket);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawClient(socket);
  }

  /** A server that talks to each client as `talk` says, one after the other; answers its path. */
  async server(talk: (peer: RawServer, count: number) => Promise<void>): Promise<string> {
    const path = this.path();
    let count = 0;
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      const peer = new RawServer(socket);
      talk(peer, count++).then(
        () => socket.end(),
        () => socket.destroy(),
      );
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.graph[Symbol.asyncDispose]();
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class RawPeer {
  readonly socket: Socket;
  protected readonly channel: Channel;

  constructor(socket: Socket) {
    this.socket = socket;
    this.channel = new Channel(socket, new SystemClock());
  }

  send(...pieces: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** `undefined`: the peer has hung up. */
  async read(length: number): Promise<Buffer | undefined> {
    return this.channel.stream.read(length).catch(() => undefined);
  }

  /** The peer hangs up; what it sends before is dropped. */
  async gone(): Promise<void> {
    while ((await this.read(1)) !== undefined);
    await this.channel.closed.catch(() => {});
  }
}

/** Speaks as a client. */
export class RawClient extends RawPeer {
  async greet(): Promise<this> {
    await this.read(18);
    this.send(encodeClientGreeting({ fixedNewstyle: true, noZeroes: true }));
    return this;
  }

  /** Types of the replies to one option, to the final one, and the last one's text. */
  async ask(option: number, data?: Buffer): Promise<{ readonly types: readonly number[]; readonly text: string }> {
    this.send(encodeOption(option, data));
    const types: number[] = [];
    for (;;) {
      const header = await this.read(20);
      if (header === undefined) return { types, text: "" };
      const { type, length } = decodeOptionReplyHeader(header);
      const text = length === 0 ? "" : ((await this.read(length))?.toString("latin1") ?? "");
      types.push(type);
      if (type === OPTION_REPLY.ack || type >= 2 ** 31) return { types, text };
    }
  }

  /** Through the handshake; with simple replies. */
  async go(name = ""): Promise<this> {
    await this.greet();
    await this.ask(OPTION.go, encodeInfoRequest({ name, wanted: [] }));
    return this;
  }

  request(request: Partial<RequestHeader>, payload: Uint8Array = new Uint8Array(0)): void {
    const header = { flags: 0, command: 0, cookieHigh: 1, cookieLow: 2, offset: 0, length: 0, ...request };
    this.send(encodeRequest(header, false), payload);
  }

  /** Error number of the next simple reply, behind which `dataLength` bytes stand if it is 0. */
  async errno(dataLength = 0): Promise<number | undefined> {
    const reply = await this.read(16);
    const errno = reply?.readUInt32BE(4);
    if (errno === 0 && dataLength > 0) await this.read(dataLength);
    return errno;
  }
}

/** Speaks as a server. */
export class RawServer extends RawPeer {
  /** Answers the handshake with the given abilities. */
  async handshake(infos: readonly ExportInfo[], structured = true): Promise<void> {
    this.send(encodeServerGreeting());
    await this.read(4);
    for (;;) {
      const header = await this.read(16);
      if (header === undefined) throw new Error("the client left");
      const { option, length } = decodeOptionHeader(header);
      await this.channel.stream.readRest(length);
      if (option === OPTION.setMetaContext)
        this.send(encodeOptionReply(option, OPTION_REPLY.metaContext, encodeMetaContext({ id: 7, name: "base:allocation" })));
      if (option === OPTION.go) this.send(...infos.map((info) => encodeOptionReply(option, OPTION_REPLY.info, encodeExportInfo(info))));
      const known = option === OPTION.go || (structured && (option === OPTION.structuredReply || option === OPTION.setMetaContext));
      this.send(encodeOptionReply(option, known ? OPTION_REPLY.ack : OPTION_ERROR.unsupported));
      if (option === OPTION.go) return;
    }
  }
}
