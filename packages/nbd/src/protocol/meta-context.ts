/** Metadata contexts: how they are asked for, and which ones were chosen. proto.md, "Metadata querying". */

import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";
import { expectPeer } from "./protocol-error.ts";

/** What a client asks with LIST_META_CONTEXT and SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** A context that a server offers (`id` 0 in lists) or has chosen. */
export interface MetaContext {
  readonly id: number;
  readonly name: string;
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function encodeMetaContextRequest({ exportName, queries }: MetaContextRequest): Buffer {
  const fields = new FieldWriter().countedText(exportName).u32(queries.length);
  for (const query of queries) fields.countedText(query);
  return fields.finish();
}

/** Throws ProtocolError where lengths do not fit together. */
export function decodeMetaContextRequest(data: Buffer): MetaContextRequest {
  const fields = new FieldReader(data, "a metadata context option");
  const exportName = fields.countedText();
  const count = fields.u32();
  // Each query takes four bytes at least: a count that lies makes no list.
  expectPeer(count <= fields.left / 4, `a metadata context option counts ${count} queries in ${fields.left} bytes`);
  const queries = Array.from({ length: count }, () => fields.countedText());
  fields.end();
  return { exportName, queries };
}

/** Data of one META_CONTEXT reply. */
export function encodeMetaContext({ id, name }: MetaContext): Buffer {
  return new FieldWriter().u32(id).text(name).finish();
}

/** Throws ProtocolError for a name that is none. */
export function decodeMetaContext(data: Buffer): MetaContext {
  const fields = new FieldReader(data, "a metadata context");
  return { id: fields.u32(), name: fields.text(fields.left) };
}
