/** What went wrong with a file of the host, as a `BlockError`. */

import { BlockError, hex, type BlockErrorCode, type BlockErrorDetails } from "../../errors.ts";
import { errnoName, errnoWords } from "../../host/errno.ts";

const CODES: Readonly<Record<string, BlockErrorCode>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_FOUND",
  EACCES: "NOT_ALLOWED",
  EPERM: "NOT_ALLOWED",
  EROFS: "READ_ONLY",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  EFBIG: "NO_SPACE",
};

/** The name of an error (`ENOSPC`): from Node's error, or from the negative answer of a host call. */
export function failureName(failure: unknown): string {
  if (typeof failure === "number") return errnoName(-failure);
  return failure instanceof Error && "code" in failure ? String(failure.code) : String(failure);
}

/** `<what>: No space left on device`. The cause is Node's error; a host call has none. */
export function fileError(what: string, failure: unknown, details: BlockErrorDetails = {}): BlockError {
  const name = failureName(failure);
  const cause = failure instanceof Error ? { cause: failure } : {};
  return new BlockError(CODES[name] ?? "IO", `${what}: ${errnoWords(name)}`, { ...details, ...cause, errno: name });
}

/** A range as messages print it. */
export function rangeWords(offset: number, length: number): string {
  return `${length} bytes at offset ${hex(offset)}`;
}
