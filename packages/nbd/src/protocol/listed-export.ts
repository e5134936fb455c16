/** One export in a server's list. proto.md, "NBD_REP_SERVER". */

import { FieldReader } from "./field-reader.ts";
import { FieldWriter } from "./field-writer.ts";

/** A name to ask for, and words for its reader. */
export interface ListedExport {
  readonly name: string;
  readonly description: string;
}

/** Data of one SERVER reply. */
export function encodeListedExport({ name, description }: ListedExport): Buffer {
  return new FieldWriter().countedText(name).text(description).finish();
}

/** Throws ProtocolError for names that are none. */
export function decodeListedExport(data: Buffer): ListedExport {
  const fields = new FieldReader(data, "a listed export");
  return { name: fields.countedText(), description: fields.text(fields.left) };
}
