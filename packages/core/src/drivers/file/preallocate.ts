/** Making a file longer in the ways that `preallocation` names. */

import { constants } from "node:os";

import type { WaitOptions } from "../../coroutine/held.ts";
import type { Preallocation } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import type { HostCalls } from "../../host/host-calls.ts";
import { fileError } from "./file-error.ts";
import type { HostFile } from "./host-file.ts";

export interface FileGrowth extends WaitOptions {
  readonly from: number;
  readonly to: number;
  readonly preallocation: Preallocation;
}

/**
 * Makes the file reach from its length `from` to `to` bytes; the new bytes read as zeros. `falloc` reserves their blocks, `full`
 * writes and flushes them. With no request in flight. On failure, and when it is stopped, the file is as long as before.
 */
export async function growFile(calls: HostCalls, file: HostFile, growth: FileGrowth): Promise<void> {
  const { from, to, preallocation, signal } = growth;
  checkPreallocation(file, preallocation);
  await file.truncate(to);
  if (preallocation === "off" || to <= from) return;
  try {
    if (preallocation === "full" || !(await reserve(calls, file, from, to - from))) await file.writeZeroBytes(from, to - from, signal);
    if (preallocation === "full") await file.sync();
  } catch (error) {
    await file.truncate(from);
    throw error;
  }
}

/** Throws for a mode that only formats have. */
export function checkPreallocation(file: HostFile, preallocation: Preallocation): void {
  if (preallocation !== "metadata") return;
  throw new BlockError("UNSUPPORTED_FEATURE", `'${file.name}': Unsupported preallocation mode 'metadata'`, { node: file.nodeName });
}

/** Whether the file system could; where it cannot, zeros that are written reserve the blocks too. */
async function reserve(calls: HostCalls, file: HostFile, offset: number, length: number): Promise<boolean> {
  if (calls.allocateInPool === undefined) return false;
  const result = await file.during(calls.allocateInPool(file.fd, "reserve", offset, length));
  if (result === 0) return true;
  if (result === -constants.errno.EOPNOTSUPP || result === -constants.errno.ENOSYS) return false;
  throw fileError(`Could not preallocate ${length} bytes for '${file.name}'`, result, { node: file.nodeName });
}
