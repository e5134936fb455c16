/** Header and key slots at the beginning of the file. */

import { type BlockChild, BlockError, type OpenContext } from "@coblock/core";
import { decodeLuksHeader, LUKS_HEADER_LENGTH, type LuksHeader } from "@coblock/crypto";

/** Where what `header` says was read. */
export interface LuksArea {
  readonly file: BlockChild;
  readonly header: LuksHeader;
  /** Bytes of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Throws CORRUPT_IMAGE and UNSUPPORTED_FEATURE for a header that cannot be used. */
export async function openArea(file: BlockChild, context: OpenContext): Promise<LuksArea> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    if (length > 0) await file.read(offset, bytes);
    return bytes;
  };
  const head = await read(0, Math.min(file.size, LUKS_HEADER_LENGTH));
  try {
    return { file, header: decodeLuksHeader(head, file.size), read };
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const { code, message, offset } = error;
    const place = offset === undefined ? {} : { offset };
    throw new BlockError(code, `${context.fileName}: ${message}`, { node: context.nodeName, ...place });
  }
}
