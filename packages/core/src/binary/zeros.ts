/** Zero bytes: one shared buffer to write from, and the test for content that is all zero. */

const SHARED_LENGTH = 1024 * 1024;
let shared: Buffer | undefined;

/** A view of `length` zero bytes (at most 1 MiB); never write into it. */
export function zeros(length: number): Uint8Array {
  shared ??= Buffer.alloc(SHARED_LENGTH);
  return shared.subarray(0, length);
}

/** Longest view that `zeros` gives, bytes. */
export const MAX_ZEROS: number = SHARED_LENGTH;

/** Whether all bytes are zero; data that is not is told from its first bytes in most cases. */
export function isZero(bytes: Uint8Array): boolean {
  for (let index = 0; index < 16 && index < bytes.length; index++) if (bytes[index] !== 0) return false;
  shared ??= Buffer.alloc(SHARED_LENGTH);
  for (let start = 0; start < bytes.length; start += SHARED_LENGTH) {
    const part = bytes.subarray(start, start + SHARED_LENGTH);
    if (shared.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
