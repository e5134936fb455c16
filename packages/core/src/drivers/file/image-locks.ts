/** Image locks: programs that open one file tell each other, through locks on single bytes, what they do and what they can stand. */

import { constants } from "node:os";

import type { Access } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import type { HostCalls } from "../../host/host-calls.ts";
import { fileError } from "./file-error.ts";
import type { HostFile } from "./host-file.ts";

/** As QEMU 7.2 does it, seen with strace: a shared lock on byte 100 + n says "I do n", one on byte 200 + n "nobody else may do n". */
const HELD_BYTE = 100;
const UNSHARED_BYTE = 200;
/** n, and the word for it in messages. 2 is "write unchanged", which no tool takes for itself. */
const PERMISSIONS = {
  read: { bit: 0, word: "consistent read" },
  write: { bit: 1, word: "write" },
  resize: { bit: 3, word: "resize" },
} as const;

type Permission = keyof typeof PERMISSIONS;

/** What an opening does with a file, and what it does not let others do. */
export interface LockedAccess {
  readonly held: readonly Permission[];
  readonly unshared: readonly Permission[];
}

/** Of an image that is opened: reading is always done, and always shared. */
export function lockedAccess(access: Access): LockedAccess {
  const { write, resize, shareWrite, shareResize } = access;
  return {
    held: ["read", ...chosen("write", write), ...chosen("resize", resize)],
    unshared: [...chosen("write", !shareWrite), ...chosen("resize", !shareResize)],
  };
}

/** Of a file that is made anew: its old content is not read, and someone who writes it is not disturbed by our writing. */
export const CREATION_ACCESS: LockedAccess = { held: ["write", "resize"], unshared: ["resize"] };

/**
 * Takes the locks, or throws LOCKED. They end with the closing of the file. Two that come at once may both be refused, never both
 * let in, for each takes its locks before it looks at the other's. Answers false where this host or file system has no such locks.
 */
export function lockImage(calls: HostCalls, file: HostFile, access: LockedAccess): boolean {
  const { lockShared, isLocked } = calls;
  if (lockShared === undefined || isLocked === undefined) return false;
  const held = access.held.map((permission) => HELD_BYTE + PERMISSIONS[permission].bit);
  const unshared = access.unshared.map((permission) => UNSHARED_BYTE + PERMISSIONS[permission].bit);
  for (const byte of [...held, ...unshared]) if (!supported(lockShared(file.fd, byte, 1), file)) return false;
  for (const permission of access.held) {
    if (isLocked(file.fd, UNSHARED_BYTE + PERMISSIONS[permission].bit, 1) !== 0) throw conflict(file, `"${PERMISSIONS[permission].word}"`);
  }
  for (const permission of access.unshared) {
    if (isLocked(file.fd, HELD_BYTE + PERMISSIONS[permission].bit, 1) !== 0)
      throw conflict(file, `shared "${PERMISSIONS[permission].word}"`);
  }
  return true;
}

/** In qemu-img's words. */
function conflict(file: HostFile, lock: string): BlockError {
  const message = `Failed to get ${lock} lock\nIs another process using the image [${file.name}]?`;
  return new BlockError("LOCKED", message, { node: file.nodeName });
}

/** An answer to a wish for a lock: done, or there are no such locks; anything else is an error. */
function supported(result: number, file: HostFile): boolean {
  const { EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP, EAGAIN, EACCES } = constants.errno;
  if (result === 0) return true;
  if ([-EINVAL, -ENOLCK, -ENOSYS, -EOPNOTSUPP].includes(result)) return false;
  // Image locks are shared ones: only a stranger's exclusive lock can be in the way.
  if (result === -EAGAIN || result === -EACCES) throw conflict(file, "a shared");
  throw fileError(`Could not lock '${file.name}'`, result, { node: file.nodeName });
}

function chosen(permission: Permission, wanted: boolean): readonly Permission[] {
  return wanted ? [permission] : [];
}
