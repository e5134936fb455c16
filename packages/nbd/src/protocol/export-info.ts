/** What a server tells of an export: size, abilities, block sizes. proto.md, "NBD_OPT_GO" and "NBD_REP_INFO". */

import { isPowerOfTwo } from "@coblock/core";
import { EXPORT_FLAG, INFO } from "./codes.ts";
import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";
import { expectPeer } from "./protocol-error.ts";

/** Bytes; how requests must look, and how they should. proto.md, "Block size constraints". */
export interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
  /** Longest payload. */
  readonly maximum: number;
}

/** An item of a server's answer to INFO and GO; kinds that nobody knows are left out. */
export type ExportInfo =
  | { readonly kind: "export"; readonly size: number; readonly flags: number }
  | { readonly kind: "name" | "description"; readonly text: string }
  | ({ readonly kind: "blockSize" } & BlockSizes);

/** What a client asks with INFO and GO. */
export interface InfoRequest {
  readonly name: string;
  /** Kinds of `INFO`. */
  readonly wanted: readonly number[];
}

const LARGEST_MINIMUM = 64 * 1024;

/** Data of INFO and GO. */
export function encodeInfoRequest({ name, wanted }: InfoRequest): Buffer {
  const fields = new FieldWriter().countedText(name).u16(wanted.length);
  for (const kind of wanted) fields.u16(kind);
  return fields.finish();
}

/** Throws ProtocolError where lengths do not fit together. */
export function decodeInfoRequest(data: Buffer): InfoRequest {
  const fields = new FieldReader(data, "an INFO or GO option");
  const name = fields.countedText();
  const count = fields.u16();
  const wanted = Array.from({ length: Math.min(count, fields.left / 2) }, () => fields.u16());
  expectPeer(wanted.length === count, `an INFO or GO option counts ${count} requests and has ${wanted.length}`);
  fields.end();
  return { name, wanted };
}

/** Data of one INFO reply. */
export function encodeExportInfo(info: ExportInfo): Buffer {
  const fields = new FieldWriter().u16(INFO[info.kind]);
  switch (info.kind) {
    case "export":
      return fields.u64(BigInt(info.size)).u16(info.flags).finish();
    case "name":
    case "description":
      return fields.text(info.text).finish();
    case "blockSize":
      return fields.u32(info.minimum).u32(info.preferred).u32(info.maximum).finish();
  }
}

/** `undefined` for a kind that nobody knows. Throws ProtocolError for wrong lengths and impossible block sizes. */
export function decodeExportInfo(data: Buffer): ExportInfo | undefined {
  const fields = new FieldReader(data, "a reply with information on an export");
  const info = decodeKind(fields.u16(), fields);
  if (info !== undefined) fields.end();
  return info;
}

function decodeKind(kind: number, fields: FieldReader): ExportInfo | undefined {
  switch (kind) {
    case INFO.export:
      return { kind: "export", size: fields.size(), flags: fields.u16() };
    case INFO.name:
      return { kind: "name", text: fields.text(fields.left) };
    case INFO.description:
      return { kind: "description", text: fields.text(fields.left) };
    case INFO.blockSize:
      return { kind: "blockSize", ...checkedBlockSizes({ minimum: fields.u32(), preferred: fields.u32(), maximum: fields.u32() }) };
    default:
      return undefined;
  }
}

/** Throws ProtocolError for sizes that no server may advertise. */
function checkedBlockSizes(sizes: BlockSizes): BlockSizes {
  const { minimum, preferred, maximum } = sizes;
  const told = `the server's block sizes (${minimum}, ${preferred}, ${maximum} bytes)`;
  expectPeer(
    isPowerOfTwo(minimum) && minimum <= LARGEST_MINIMUM,
    `${told} have a minimum that is no power of two up to ${LARGEST_MINIMUM}`,
  );
  expectPeer(isPowerOfTwo(preferred) && preferred >= minimum, `${told} have a preferred size that is no power of two from the minimum on`);
  expectPeer(maximum >= preferred, `${told} have a maximum below the preferred size`);
  return sizes;
}

/** Size and abilities, as EXPORT_NAME is answered. */
export function encodeExportNameReply(size: number, flags: number, padding: number): Buffer {
  return new FieldWriter().u64(BigInt(size)).u16(flags).bytes(Buffer.alloc(padding)).finish();
}

/** Throws ProtocolError for a size that cannot be addressed. */
export function decodeExportNameReply(bytes: Buffer): { readonly size: number; readonly flags: number } {
  const fields = new FieldReader(bytes, "the reply to EXPORT_NAME");
  return { size: fields.size(), flags: fields.u16() };
}

/** Whether the flag is among an export's. */
export function hasFlag(flags: number, flag: keyof typeof EXPORT_FLAG): boolean {
  return (flags & EXPORT_FLAG[flag]) !== 0;
}
