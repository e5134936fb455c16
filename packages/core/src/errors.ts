/** The one error type of Coblock: match on `code`, read `message` and `cause`. */

export type BlockErrorCode =
  | "CORRUPT_IMAGE"
  | "UNSUPPORTED_FEATURE"
  | "INVALID_OPTION"
  | "OUT_OF_RANGE"
  | "READ_ONLY"
  | "NO_SPACE"
  | "LOCKED"
  | "NOT_ALLOWED"
  | "NOT_FOUND"
  | "CLOSED"
  | "IO";

/** Where an error happened, and why. */
export interface BlockErrorDetails {
  readonly cause?: unknown;
  /** Name of the node, where one is known. */
  readonly node?: string | undefined;
  /** Byte offset in the file or disk that the message speaks of. */
  readonly offset?: number | undefined;
  /** What the host said, by its name: `ENOSPC`. */
  readonly errno?: string | undefined;
  /** The part of a file that an image names, where that file could not be opened: "backing". */
  readonly role?: string | undefined;
  /** What could not be read when an image was to be opened, where the message tells only of the request that failed. */
  readonly wanted?: "format" | "header" | undefined;
}

/** Something that a caller, a file or the host did: the message says what, where and which number. */
export class BlockError extends Error {
  override readonly name = "BlockError";
  readonly code: BlockErrorCode;
  readonly node: string | undefined;
  readonly offset: number | undefined;
  readonly errno: string | undefined;
  readonly role: string | undefined;
  readonly wanted: "format" | "header" | undefined;

  constructor(code: BlockErrorCode, message: string, details: BlockErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.node = details.node;
    this.offset = details.offset;
    this.errno = details.errno;
    this.role = details.role;
    this.wanted = details.wanted;
  }
}

/** A failed read: the same error, which tells what for. Others stay as they are. */
export function wantedFor(wanted: "format" | "header", cause: unknown): unknown {
  if (!(cause instanceof BlockError)) return cause;
  const { code, message, node, offset, errno } = cause;
  return new BlockError(code, message, { cause, node, offset, errno, wanted });
}

/** An offset as messages print it. */
export function hex(offset: number | bigint): string {
  return `0x${offset.toString(16)}`;
}

/** A promise of the code to itself; failing is a bug of Coblock or of a driver, never of an image. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
