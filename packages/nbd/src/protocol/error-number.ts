/** Error numbers of the protocol, and what they are called on either side. proto.md, "Error values". */

import { BlockError, type BlockErrorCode } from "@coblock/core";

export const ERRNO = {
  notPermitted: 1,
  io: 5,
  noMemory: 12,
  invalid: 22,
  noSpace: 28,
  overflow: 75,
  notSupported: 95,
  shutdown: 108,
} as const;

const OF_CODE: Readonly<Record<BlockErrorCode, number>> = {
  CORRUPT_IMAGE: ERRNO.io,
  UNSUPPORTED_FEATURE: ERRNO.notSupported,
  INVALID_OPTION: ERRNO.invalid,
  OUT_OF_RANGE: ERRNO.invalid,
  READ_ONLY: ERRNO.notPermitted,
  NO_SPACE: ERRNO.noSpace,
  LOCKED: ERRNO.notPermitted,
  NOT_ALLOWED: ERRNO.notPermitted,
  NOT_FOUND: ERRNO.io,
  CLOSED: ERRNO.shutdown,
  IO: ERRNO.io,
};

const MEANING: Readonly<Record<number, { readonly code: BlockErrorCode; readonly words: string }>> = {
  [ERRNO.notPermitted]: { code: "NOT_ALLOWED", words: "Operation not permitted" },
  [ERRNO.io]: { code: "IO", words: "Input/output error" },
  [ERRNO.noMemory]: { code: "IO", words: "Cannot allocate memory" },
  [ERRNO.invalid]: { code: "IO", words: "Invalid argument" },
  [ERRNO.noSpace]: { code: "NO_SPACE", words: "No space left on device" },
  [ERRNO.overflow]: { code: "IO", words: "Value too large for defined data type" },
  [ERRNO.notSupported]: { code: "UNSUPPORTED_FEATURE", words: "Operation not supported" },
  [ERRNO.shutdown]: { code: "IO", words: "Cannot send after transport endpoint shutdown" },
};

/** What a failed request is answered with. */
export function errnoOf(error: unknown): number {
  return error instanceof BlockError ? OF_CODE[error.code] : ERRNO.io;
}

/** How a server's error number is told here; numbers that the protocol does not have count as EINVAL. */
export function meaningOf(errno: number): { readonly code: BlockErrorCode; readonly words: string } {
  return MEANING[errno] ?? { code: "IO", words: `Invalid argument (unknown error ${errno})` };
}
