/** The server's side of the handshake: from the greeting to the export that the client has chosen. */

import { BlockError } from "@coblock/core";
import { INFO, MAX_STRING_LENGTH, nameOfCode, OPTION, OPTION_ERROR, OPTION_REPLY } from "../protocol/codes.ts";
import { decodeInfoRequest, encodeExportInfo, encodeExportNameReply, type ExportInfo, type InfoRequest } from "../protocol/export-info.ts";
import { CLIENT_GREETING_LENGTH, decodeClientGreeting, encodeServerGreeting, EXPORT_NAME_PADDING } from "../protocol/greeting.ts";
import { truncateText } from "../protocol/field-writer.ts";
import { encodeListedExport } from "../protocol/listed-export.ts";
import { decodeMetaContextRequest, encodeMetaContext } from "../protocol/meta-context.ts";
import { decodeOptionHeader, encodeOptionReply, OPTION_HEADER_LENGTH } from "../protocol/option.ts";
import { expectPeer, ProtocolError } from "../protocol/protocol-error.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import type { Channel } from "../transport/channel.ts";
import { matchContexts, type ServedContext } from "./served-context.ts";
import { exportFlags, type OpenExport, type ServedExport } from "./served-export.ts";

/** What a client has negotiated. The place of a context is its ID. */
export interface Agreement {
  readonly channel: Channel;
  readonly served: OpenExport;
  readonly style: ReplyStyle;
  readonly contexts: readonly ServedContext[];
}

/** What the server lets clients do. */
export interface HandshakeRules {
  readonly exports: ReadonlyMap<string, ServedExport>;
  /** Makes the channel a TLS one, whose socket it takes in this turn; absent: there is no TLS. */
  readonly startTls: ((channel: Channel) => Promise<Channel>) | undefined;
  readonly tlsRequired: boolean;
}

/** A client asks no more than this before it chooses: a peer that goes on and on wants something else. */
const MAX_OPTIONS = 1024;
/** Bytes of one option: the longest are lists of contexts. Up to the second number it is skipped and refused, beyond the client is cut off. */
const MAX_OPTION_LENGTH = 64 * 1024;
const MAX_SKIPPED_LENGTH = 1024 * 1024;

type Outcome = "next" | "leave" | Agreement;

export class ServerHandshake {
  readonly #rules: HandshakeRules;
  #channel: Channel;
  #secure = false;
  #noZeroes = false;
  #style: ReplyStyle = "simple";
  #selection: { readonly exportName: string; readonly contexts: readonly ServedContext[] } | undefined;

  constructor(channel: Channel, rules: HandshakeRules) {
    this.#channel = channel;
    this.#rules = rules;
  }

  /** The client's choice; `undefined` where it left in good order. Throws ProtocolError and ConnectionLost. */
  async run(): Promise<Agreement | undefined> {
    this.#channel.send(encodeServerGreeting());
    const greeting = await this.#channel.stream.read(CLIENT_GREETING_LENGTH);
    if (greeting === undefined) return undefined;
    const { fixedNewstyle, noZeroes } = decodeClientGreeting(greeting);
    this.#noZeroes = noZeroes;
    for (let count = 0; count < MAX_OPTIONS; count++) {
      const bytes = await this.#channel.stream.read(OPTION_HEADER_LENGTH);
      if (bytes === undefined) return undefined;
      const { option, length } = decodeOptionHeader(bytes);
      // Without it a client cannot take a refusal; it knows the one option of the handshake before.
      expectPeer(fixedNewstyle || option === OPTION.exportName, "the client does not speak the fixed newstyle handshake");
      const outcome = length > MAX_OPTION_LENGTH ? await this.#skip(option, length) : await this.#serve(option, length);
      if (outcome === "leave") return undefined;
      if (outcome !== "next") return outcome;
    }
    throw new ProtocolError(`the client sends more than ${MAX_OPTIONS} options and chooses nothing`);
  }

  async #skip(option: number, length: number): Promise<Outcome> {
    expectPeer(length <= MAX_SKIPPED_LENGTH, `the client sends ${length} bytes with option ${nameOfCode(OPTION, option)}`);
    expectPeer(option !== OPTION.exportName, `the client asks for an export by a name of ${length} bytes`);
    for (let left = length; left > 0; left -= MAX_OPTION_LENGTH) await this.#channel.stream.readRest(Math.min(left, MAX_OPTION_LENGTH));
    return this.#refuse(option, "tooBig", `${length} bytes are too many for an option`);
  }

  async #serve(option: number, length: number): Promise<Outcome> {
    const data = await this.#channel.stream.readRest(length);
    if (option === OPTION.abort) {
      this.#answer(option);
      return "leave";
    }
    if (this.#rules.tlsRequired && !this.#secure && option !== OPTION.startTls) {
      expectPeer(option !== OPTION.exportName, "the client asks for an export without TLS, which is required");
      return this.#refuse(option, "tlsRequired", "TLS is required: use STARTTLS first");
    }
    // EXPORT_NAME cannot be refused but by hanging up.
    if (option === OPTION.exportName) return this.#exportName(data);
    // What goes wrong with TLS leaves no channel to refuse on.
    if (option === OPTION.startTls) return this.#startTls(data);
    try {
      return await this.#negotiate(option, data);
    } catch (error) {
      if (error instanceof ProtocolError) return this.#refuse(option, "invalid", error.message);
      if (error instanceof BlockError) return this.#refuse(option, "platform", error.message);
      throw error;
    }
  }

  #negotiate(option: number, data: Buffer): Outcome | Promise<Outcome> {
    switch (option) {
      case OPTION.list:
        return this.#list(data);
      case OPTION.info:
      case OPTION.go:
        return this.#inform(option, decodeInfoRequest(data));
      case OPTION.structuredReply:
      case OPTION.extendedHeaders:
        return this.#chooseStyle(option, data);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.#metaContexts(option, data);
      default:
        return this.#refuse(option, "unsupported", `option ${option} is not known here`);
    }
  }

  #list(data: Buffer): Outcome {
    expectPeer(data.length === 0, "LIST has no data");
    const replies = [...this.#rules.exports.values()].map((served) =>
      encodeOptionReply(OPTION.list, OPTION_REPLY.server, encodeListedExport(served)),
    );
    this.#channel.send(...replies, encodeOptionReply(OPTION.list, OPTION_REPLY.ack));
    return "next";
  }

  /** All that was agreed on in the clear is void, and nothing may have been sent ahead of our answer. */
  async #startTls(data: Buffer): Promise<Outcome> {
    if (data.length > 0) return this.#refuse(OPTION.startTls, "invalid", "STARTTLS has no data");
    if (this.#secure) return this.#refuse(OPTION.startTls, "invalid", "the connection is secure already");
    if (this.#rules.startTls === undefined) return this.#refuse(OPTION.startTls, "policy", "there is no TLS here");
    if (this.#channel.stream.buffered > 0) {
      // Not a refusal: the bytes behind could be anybody's.
      this.#channel.destroy();
      return "leave";
    }
    this.#answer(OPTION.startTls);
    this.#channel = await this.#rules.startTls(this.#channel);
    this.#secure = true;
    this.#style = "simple";
    this.#selection = undefined;
    return "next";
  }

  async #exportName(data: Buffer): Promise<Outcome> {
    expectPeer(this.#style !== "extended", "EXPORT_NAME is not for connections with extended headers");
    expectPeer(data.length <= MAX_STRING_LENGTH, `the client asks for an export by a name of ${data.length} bytes`);
    const name = data.toString("utf8");
    const served = await this.#find(name);
    expectPeer(served !== undefined, `the client asks for the unknown export '${name}'`);
    const padding = this.#noZeroes ? 0 : EXPORT_NAME_PADDING;
    this.#channel.send(encodeExportNameReply(served.size, exportFlags(served, this.#style), padding));
    return this.#agree(served);
  }

  async #inform(option: number, { name, wanted }: InfoRequest): Promise<Outcome> {
    if (option === OPTION.go && this.#selection?.exportName !== name) this.#selection = undefined;
    const served = await this.#find(name);
    if (served === undefined) return this.#refuse(option, "unknown", `export '${name}' is not present`);
    const { blockSizes } = served;
    if (option === OPTION.go && blockSizes.minimum > 1 && !wanted.includes(INFO.blockSize))
      return this.#refuse(option, "blockSizeRequired", `export '${name}' takes blocks of ${blockSizes.minimum} bytes only`);
    const description = this.#rules.exports.get(name)?.description ?? "";
    const infos: ExportInfo[] = [{ kind: "export", size: served.size, flags: exportFlags(served, this.#style) }];
    if (wanted.includes(INFO.name)) infos.push({ kind: "name", text: name });
    if (wanted.includes(INFO.description) && description !== "") infos.push({ kind: "description", text: description });
    if (wanted.includes(INFO.blockSize) || blockSizes.minimum > 1) infos.push({ kind: "blockSize", ...blockSizes });
    const replies = infos.map((info) => encodeOptionReply(option, OPTION_REPLY.info, encodeExportInfo(info)));
    this.#channel.send(...replies, encodeOptionReply(option, OPTION_REPLY.ack));
    return option === OPTION.go ? this.#agree(served) : "next";
  }

  #chooseStyle(option: number, data: Buffer): Outcome {
    const isExtended = option === OPTION.extendedHeaders;
    if (!isExtended && this.#style === "extended")
      return this.#refuse(option, "extendedHeadersRequired", "extended headers are on, which have structured replies");
    expectPeer(data.length === 0, `${nameOfCode(OPTION, option)} has no data`);
    expectPeer(this.#style !== (isExtended ? "extended" : "structured"), `${nameOfCode(OPTION, option)} is sent twice`);
    // Contexts that were selected under other replies need not fit any more.
    if (isExtended) this.#selection = undefined;
    this.#style = isExtended ? "extended" : "structured";
    return this.#answer(option);
  }

  async #metaContexts(option: number, data: Buffer): Promise<Outcome> {
    const isList = option === OPTION.listMetaContext;
    // A selection that fails leaves none.
    if (!isList) this.#selection = undefined;
    expectPeer(this.#style !== "simple", `${nameOfCode(OPTION, option)} needs structured replies`);
    const { exportName, queries } = decodeMetaContextRequest(data);
    const served = await this.#find(exportName);
    if (served === undefined) return this.#refuse(option, "unknown", `export '${exportName}' is not present`);
    const contexts = matchContexts(served.contexts, queries, isList);
    if (!isList) this.#selection = { exportName, contexts };
    const replies = contexts.map(({ name }, index) =>
      encodeOptionReply(option, OPTION_REPLY.metaContext, encodeMetaContext({ id: isList ? 0 : index + 1, name })),
    );
    this.#channel.send(...replies, encodeOptionReply(option, OPTION_REPLY.ack));
    return "next";
  }

  #agree(served: OpenExport): Agreement {
    const contexts = this.#selection?.exportName === served.name ? this.#selection.contexts : [];
    return { channel: this.#channel, served, style: this.#style, contexts };
  }

  async #find(name: string): Promise<OpenExport | undefined> {
    return this.#rules.exports.get(name)?.open();
  }

  #answer(option: number): Outcome {
    this.#channel.send(encodeOptionReply(option, OPTION_REPLY.ack));
    return "next";
  }

  #refuse(option: number, error: keyof typeof OPTION_ERROR, message: string): Outcome {
    this.#channel.send(encodeOptionReply(option, OPTION_ERROR[error], truncateText(message)));
    return "next";
  }
}
