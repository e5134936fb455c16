/** Error numbers of the protocol, and what they are called on either side. proto.md, "Error values". */

import { BlockError, type BlockErrorCode, errnoWords } from "@coblock/core";

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

const MEANING: Readonly<Record<number, { readonly code: BlockErrorCode; readonly errno: string }>> = {
  [ERRNO.notPermitted]: { code: "NOT_ALLOWED", errno: "EPERM" },
  [ERRNO.io]: { code: "IO", errno: "EIO" },
  [ERRNO.noMemory]: { code: "IO", errno: "ENOMEM" },
  [ERRNO.invalid]: { code: "IO", errno: "EINVAL" },
  [ERRNO.noSpace]: { code: "NO_SPACE", errno: "ENOSPC" },
  [ERRNO.overflow]: { code: "IO", errno: "EOVERFLOW" },
  [ERRNO.notSupported]: { code: "UNSUPPORTED_FEATURE", errno: "EOPNOTSUPP" },
  [ERRNO.shutdown]: { code: "IO", errno: "ESHUTDOWN" },
};

/** What a failed request is answered with. */
export function errnoOf(error: unknown): number {
  return error instanceof BlockError ? OF_CODE[error.code] : ERRNO.io;
}

/** How a server's error number is told here: its name and words; numbers that the protocol does not have count as EINVAL. */
export function meaningOf(errno: number): { readonly code: BlockErrorCode; readonly errno: string; readonly words: string } {
  const known = MEANING[errno];
  if (known !== undefined) return { ...known, words: errnoWords(known.errno) };
  return { code: "IO", errno: "EINVAL", words: `${errnoWords("EINVAL")} (unknown error ${errno})` };
}
