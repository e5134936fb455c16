/** Header and key slots at the beginning of the file. */

import { type BlockChild, BlockError, type OpenContext } from "@coblock/core";
import { decodeLuksHeader, type KeySlotArea, LUKS_HEADER_LENGTH, type LuksHeader } from "@coblock/crypto";

/** What `header` says was read from `slots`. */
export interface LuksArea {
  readonly file: BlockChild;
  readonly header: LuksHeader;
  readonly slots: KeySlotArea;
}

/** Throws CORRUPT_IMAGE and UNSUPPORTED_FEATURE for a header that cannot be used. */
export async function openArea(file: BlockChild, context: OpenContext): Promise<LuksArea> {
  const slots: KeySlotArea = {
    get length() {
      return file.size;
    },
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      if (length > 0) await file.read(offset, bytes);
      return bytes;
    },
    write: (offset, bytes) => file.write(offset, bytes),
    flush: () => file.flush(),
  };
  const head = await slots.read(0, Math.min(file.size, LUKS_HEADER_LENGTH));
  try {
    return { file, header: decodeLuksHeader(head, file.size), slots };
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const { code, message, offset } = error;
    const place = offset === undefined ? {} : { offset };
    throw new BlockError(code, `${context.fileName}: ${message}`, { node: context.nodeName, ...place });
  }
}
