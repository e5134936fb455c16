/** The client's side of the handshake: the best that both sides know, then the export. */

import { BlockError, type BlockErrorCode } from "@coblock/core";
import { INFO, MAX_PAYLOAD_LENGTH, nameOfCode, OPTION, OPTION_ERROR, OPTION_REPLY } from "../protocol/codes.ts";
import { type BlockSizes, decodeExportInfo, decodeExportNameReply, encodeInfoRequest, hasFlag } from "../protocol/export-info.ts";
import {
  decodeGreetingFlags,
  decodeGreetingStyle,
  decodeOldGreeting,
  encodeClientGreeting,
  EXPORT_NAME_PADDING,
  GREETING_FLAGS_LENGTH,
  GREETING_STYLE_LENGTH,
  OLD_GREETING_LENGTH,
  OLD_GREETING_PADDING,
} from "../protocol/greeting.ts";
import { decodeListedExport, type ListedExport } from "../protocol/listed-export.ts";
import { decodeMetaContext, encodeMetaContextRequest } from "../protocol/meta-context.ts";
import { decodeOptionReplyHeader, encodeOption, OPTION_REPLY_HEADER_LENGTH } from "../protocol/option.ts";
import { expectPeer } from "../protocol/protocol-error.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import type { Channel } from "../transport/channel.ts";
import { ConnectionLost } from "../transport/connection-lost.ts";

/** What was agreed on, and what the server told of the export. */
export interface ServerAgreement {
  readonly channel: Channel;
  readonly size: number;
  /** Bits of `EXPORT_FLAG`. */
  readonly flags: number;
  /** `undefined`: the server did not say. */
  readonly blockSizes: BlockSizes | undefined;
  readonly style: ReplyStyle;
  /** ID of `base:allocation`, where the server has it. */
  readonly allocationId: number | undefined;
}

/** What the client wants. */
export interface ClientWishes {
  readonly exportName: string;
  /** Makes the channel a TLS one; then nothing else is done in the clear. */
  readonly startTls: ((channel: Channel) => Promise<Channel>) | undefined;
}

/** Bytes of one reply to an option, and replies to one option: what a server that lies may cost. */
const MAX_REPLY_LENGTH = 64 * 1024;
const MAX_REPLIES = 16 * 1024;

interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}
type OptionResult =
  | { readonly kind: "done"; readonly data: readonly OptionReply[] }
  | { readonly kind: "refused"; readonly error: number; readonly message: string };

/** An export in a server's list, and what the server tells who asks for more. */
export interface DescribedExport extends ListedExport {
  /** Bytes. */
  readonly size: number;
  /** The transmission flags, as proto.md numbers them. */
  readonly flags: number;
  /** `undefined`: the server did not say. */
  readonly blockSizes: BlockSizes | undefined;
  /** Names of metadata contexts. */
  readonly contexts: readonly string[];
}

/** Asks for one export on one connection; `run`, `list` or `describe`, once. */
export class ClientHandshake {
  #channel: Channel;
  readonly #wishes: ClientWishes;
  #noZeroes = false;

  constructor(channel: Channel, wishes: ClientWishes) {
    this.#channel = channel;
    this.#wishes = wishes;
  }

  /** Throws NOT_FOUND for an unknown export, NOT_ALLOWED, UNSUPPORTED_FEATURE; ProtocolError and ConnectionLost. */
  async run(): Promise<ServerAgreement> {
    const known = await this.#greet();
    if (known === "nothing") return this.#onlyExport();
    if (known === "names") return this.#exportName("simple", undefined);
    const style = await this.#chooseStyle();
    const allocationId = style === "simple" ? undefined : await this.#selectAllocation();
    return this.#go(style, allocationId);
  }

  /** The server's exports; ends the connection. */
  async list(): Promise<readonly ListedExport[]> {
    const known = await this.#greet();
    if (known === "nothing") return [{ name: "", description: "" }];
    if (known === "names") throw noLists();
    const result = await this.#ask(OPTION.list);
    if (result.kind === "refused") throw this.#refused(OPTION.list, result.error, result.message);
    this.#channel.send(encodeOption(OPTION.abort));
    return result.data.filter(({ type }) => type === OPTION_REPLY.server).map(({ data }) => decodeListedExport(data));
  }

  /** The server's exports, and what it tells of each; ends the connection. Throws as `list` does. */
  async describe(): Promise<readonly DescribedExport[]> {
    const known = await this.#greet();
    if (known === "nothing") {
      const { size, flags, blockSizes } = await this.#onlyExport();
      return [{ name: "", description: "", size, flags, blockSizes, contexts: [] }];
    }
    if (known === "names") throw noLists();
    const hasContexts = (await this.#ask(OPTION.structuredReply)).kind === "done";
    const listed = await this.#ask(OPTION.list);
    if (listed.kind === "refused") throw this.#refused(OPTION.list, listed.error, listed.message);
    const described: DescribedExport[] = [];
    for (const { type, data } of listed.data)
      if (type === OPTION_REPLY.server) described.push(await this.#describeOne(decodeListedExport(data), hasContexts));
    this.#channel.send(encodeOption(OPTION.abort));
    return described;
  }

  async #describeOne(listed: ListedExport, hasContexts: boolean): Promise<DescribedExport> {
    const { name } = listed;
    const info = await this.#ask(OPTION.info, encodeInfoRequest({ name, wanted: [INFO.blockSize] }));
    if (info.kind === "refused") throw this.#refused(OPTION.info, info.error, info.message);
    const told = this.#readInfo(info.data);
    const query = encodeMetaContextRequest({ exportName: name, queries: [] });
    const contexts = hasContexts ? await this.#ask(OPTION.listMetaContext, query) : undefined;
    const replies = contexts?.kind === "done" ? contexts.data.filter(({ type }) => type === OPTION_REPLY.metaContext) : [];
    return { ...listed, ...told, contexts: replies.map(({ data }) => decodeMetaContext(data).name) };
  }

  /** What can be asked: options, names of exports alone, or nothing, since the one export follows. */
  async #greet(): Promise<"options" | "names" | "nothing"> {
    const { startTls } = this.#wishes;
    const isOld = decodeGreetingStyle(await this.#take(GREETING_STYLE_LENGTH, "greeting")) === "old";
    const greeting = isOld ? undefined : decodeGreetingFlags(await this.#take(GREETING_FLAGS_LENGTH, "flags"));
    expectPeer(startTls === undefined || greeting?.fixedNewstyle === true, "the server knows no options, so there is no TLS");
    if (greeting === undefined) return "nothing";
    this.#noZeroes = greeting.noZeroes;
    this.#channel.send(encodeClientGreeting(greeting));
    if (startTls === undefined) return greeting.fixedNewstyle ? "options" : "names";
    const result = await this.#ask(OPTION.startTls);
    if (result.kind === "refused") throw this.#refused(OPTION.startTls, result.error, result.message);
    expectPeer(this.#channel.stream.buffered === 0, "the server goes on in the clear after STARTTLS");
    this.#channel = await startTls(this.#channel);
    return "options";
  }

  async #onlyExport(): Promise<ServerAgreement> {
    const { exportName } = this.#wishes;
    const told = decodeOldGreeting(await this.#take(OLD_GREETING_LENGTH, "export"));
    await this.#take(OLD_GREETING_PADDING, "export");
    if (exportName !== "")
      throw new BlockError("NOT_FOUND", `the server has one export without a name, and none that is called '${exportName}'`);
    return { ...told, blockSizes: undefined, style: "simple", allocationId: undefined, channel: this.#channel };
  }

  async #chooseStyle(): Promise<ReplyStyle> {
    if ((await this.#ask(OPTION.extendedHeaders)).kind === "done") return "extended";
    return (await this.#ask(OPTION.structuredReply)).kind === "done" ? "structured" : "simple";
  }

  async #selectAllocation(): Promise<number | undefined> {
    const { exportName } = this.#wishes;
    const result = await this.#ask(OPTION.setMetaContext, encodeMetaContextRequest({ exportName, queries: ["base:allocation"] }));
    if (result.kind === "refused") return undefined;
    const contexts = result.data.filter(({ type }) => type === OPTION_REPLY.metaContext).map(({ data }) => decodeMetaContext(data));
    expectPeer(contexts.length <= 1, `the server chose ${contexts.length} metadata contexts where one was asked for`);
    const [context] = contexts;
    expectPeer(context === undefined || context.name === "base:allocation", `the server chose the metadata context '${context?.name}'`);
    return context?.id;
  }

  async #go(style: ReplyStyle, allocationId: number | undefined): Promise<ServerAgreement> {
    const { exportName } = this.#wishes;
    const result = await this.#ask(OPTION.go, encodeInfoRequest({ name: exportName, wanted: [INFO.blockSize] }));
    if (result.kind === "refused" && result.error === OPTION_ERROR.unsupported && style !== "extended")
      return this.#exportName(style, allocationId);
    if (result.kind === "refused") throw this.#refused(OPTION.go, result.error, result.message);
    return this.#agree({ ...this.#readInfo(result.data), style, allocationId });
  }

  #readInfo(replies: readonly OptionReply[]): Pick<ServerAgreement, "size" | "flags" | "blockSizes"> {
    let size: number | undefined;
    let flags = 0;
    let blockSizes: BlockSizes | undefined;
    for (const { type, data } of replies) {
      const info = type === OPTION_REPLY.info ? decodeExportInfo(data) : undefined;
      if (info?.kind === "export") ({ size, flags } = info);
      else if (info?.kind === "blockSize") blockSizes = info;
    }
    expectPeer(size !== undefined, "the server does not tell the size of the export");
    return { size, flags, blockSizes };
  }

  async #exportName(style: ReplyStyle, allocationId: number | undefined): Promise<ServerAgreement> {
    this.#channel.send(encodeOption(OPTION.exportName, Buffer.from(this.#wishes.exportName)));
    const reply = await this.#channel.stream.read(10);
    if (reply === undefined)
      throw new BlockError("NOT_FOUND", `the server hung up when it was asked for export '${this.#wishes.exportName}'`);
    if (!this.#noZeroes) await this.#take(EXPORT_NAME_PADDING, "answer to EXPORT_NAME");
    return this.#agree({ ...decodeExportNameReply(reply), blockSizes: undefined, style, allocationId });
  }

  #agree(told: Omit<ServerAgreement, "channel">): ServerAgreement {
    const { size, flags, blockSizes } = told;
    expectPeer(hasFlag(flags, "hasFlags"), "the server's export flags are not valid");
    if (blockSizes !== undefined)
      expectPeer(size % blockSizes.minimum === 0, `export length ${size} is not a multiple of minimum block size ${blockSizes.minimum}`);
    return { ...told, channel: this.#channel };
  }

  /** All replies to one option. */
  async #ask(option: number, data?: Buffer): Promise<OptionResult> {
    this.#channel.send(encodeOption(option, data));
    const replies: OptionReply[] = [];
    for (let count = 0; count < MAX_REPLIES; count++) {
      const header = decodeOptionReplyHeader(await this.#take(OPTION_REPLY_HEADER_LENGTH, `answer to ${nameOfCode(OPTION, option)}`));
      expectPeer(header.option === option, `the server answers option ${header.option} where ${option} was asked`);
      expectPeer(header.length <= MAX_REPLY_LENGTH, `the server answers ${nameOfCode(OPTION, option)} with ${header.length} bytes`);
      const reply = await this.#channel.stream.readRest(header.length);
      if (header.type >= 2 ** 31) return { kind: "refused", error: header.type, message: reply.toString("utf8").slice(0, 4096) };
      if (header.type === OPTION_REPLY.ack) {
        expectPeer(reply.length === 0, `the server's ACK of ${nameOfCode(OPTION, option)} has data`);
        return { kind: "done", data: replies };
      }
      replies.push({ type: header.type, data: reply });
    }
    expectPeer(false, `the server answers ${nameOfCode(OPTION, option)} without end`);
  }

  /** `what`: what the server owes. */
  async #take(length: number, what: string): Promise<Buffer> {
    const bytes = await this.#channel.stream.read(length);
    if (bytes === undefined) throw new ConnectionLost(`the server closed the connection in front of its ${what}`);
    return bytes;
  }

  /** Says goodbye. */
  #refused(option: number, error: number, message: string): BlockError {
    this.#channel.send(encodeOption(OPTION.abort));
    const what = nameOfCode(OPTION, option);
    const code = CODES[error] ?? "UNSUPPORTED_FEATURE";
    const told = message === "" ? "" : `: ${message}`;
    if (error === OPTION_ERROR.unknown) return new BlockError(code, `Requested export '${this.#wishes.exportName}' not available${told}`);
    if (error === OPTION_ERROR.tlsRequired)
      return new BlockError(code, `the server answers ${what} over TLS alone (tls-creds, or a URI that begins with nbds)${told}`);
    return new BlockError(code, `the server refuses ${what} (${nameOfCode(OPTION_ERROR, error)})${told}`);
  }
}

function noLists(): BlockError {
  return new BlockError("UNSUPPORTED_FEATURE", "Server does not support export lists");
}

const CODES: Readonly<Record<number, BlockErrorCode>> = {
  [OPTION_ERROR.unknown]: "NOT_FOUND",
  [OPTION_ERROR.policy]: "NOT_ALLOWED",
  [OPTION_ERROR.tlsRequired]: "NOT_ALLOWED",
  [OPTION_ERROR.shutdown]: "IO",
};

/** Bytes that one request may carry: the server's maximum, but never more than everybody takes. */
export function payloadLimit({ blockSizes }: ServerAgreement): number {
  return Math.min(blockSizes?.maximum ?? MAX_PAYLOAD_LENGTH, MAX_PAYLOAD_LENGTH);
}
