/** Error numbers of the host: their names, and the words that people know for them. */

import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/** As the C library words them; Node's own texts differ in case and wording. */
const WORDS: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EIO: "Input/output error",
  EBADF: "Bad file descriptor",
  EAGAIN: "Resource temporarily unavailable",
  ENOMEM: "Cannot allocate memory",
  EACCES: "Permission denied",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EXDEV: "Invalid cross-device link",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  ENFILE: "Too many open files in system",
  EMFILE: "Too many open files",
  ENOTTY: "Inappropriate ioctl for device",
  ETXTBSY: "Text file busy",
  EFBIG: "File too large",
  ENOSPC: "No space left on device",
  ESPIPE: "Illegal seek",
  EROFS: "Read-only file system",
  ENAMETOOLONG: "File name too long",
  ENOLCK: "No locks available",
  ELOOP: "Too many levels of symbolic links",
  EOPNOTSUPP: "Operation not supported",
  EOVERFLOW: "Value too large for defined data type",
  ESHUTDOWN: "Cannot send after transport endpoint shutdown",
  ESTALE: "Stale file handle",
  EDQUOT: "Disk quota exceeded",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  ETIMEDOUT: "Connection timed out",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
};

const NAMES: ReadonlyMap<number, string> = new Map(
  // Two names of one number (ENOTSUP, EWOULDBLOCK): the one with words wins, else the first.
  Object.entries(constants.errno)
    .sort(([left], [right]) => Number(left in WORDS) - Number(right in WORDS))
    .map(([name, number]) => [number, name]),
);

/** `ENOENT` for 2; a number without a name stays one. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** "No such file or directory" for `ENOENT`, from the C library's table or else Node's; an unknown name stays itself. */
export function errnoWords(name: string): string {
  const words = WORDS[name];
  if (words !== undefined) return words;
  for (const [known, text] of getSystemErrorMap().values()) if (known === name) return text;
  return name;
}
