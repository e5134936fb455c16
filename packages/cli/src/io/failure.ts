/** How a command of qemu-io says that it failed: the others after it still run, and the program ends with 1. */

import { BlockError, errnoWords } from "@coblock/core";

/** One line; on which stream is part of what scripts compare. */
export class IoFailure extends Error {
  readonly stream: "stdout" | "stderr" | "named stderr";

  /** "named stderr": begins with the name of the program. An empty message is not printed. */
  constructor(message: string, stream: "stdout" | "stderr" | "named stderr" = "stdout") {
    super(message);
    this.stream = stream;
  }
}

/** The words do not fit: the command's own line of help is printed. */
export class IoUsage extends Error {}

/** Where the host said nothing, as QEMU answers the same request. */
const ERRNO_OF_CODE: Readonly<Partial<Record<BlockError["code"], string>>> = {
  UNSUPPORTED_FEATURE: "EOPNOTSUPP",
  INVALID_OPTION: "EINVAL",
  READ_ONLY: "EPERM",
  NOT_ALLOWED: "EPERM",
  NO_SPACE: "ENOSPC",
  NOT_FOUND: "ENOENT",
  LOCKED: "EAGAIN",
};

/** The C library's words for what went wrong; anything else than a BlockError is thrown on. */
export function systemWords(error: unknown): string {
  if (!(error instanceof BlockError)) throw error;
  for (let cause: unknown = error; cause instanceof BlockError; cause = cause.cause)
    if (cause.errno !== undefined) return errnoWords(cause.errno);
  return errnoWords(ERRNO_OF_CODE[error.code] ?? "EIO");
}
