/** Makes the files that new images are written into. */

import { constants } from "node:os";

import type { WaitOptions } from "../../coroutine/held.ts";
import type { Preallocation } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import { errnoName, errnoWords } from "../../host/errno.ts";
import { type HostCalls, loadHostCalls } from "../../host/host-calls.ts";
import type { FileHints } from "./file-hints.ts";
import { HostFile } from "./host-file.ts";
import { CREATION_ACCESS, lockImage } from "./image-locks.ts";
import { checkPreallocation, growFile } from "./preallocate.ts";

/** A device keeps what was on it, but for this many bytes at its start, so that no old image is found there. */
const CLEARED_ON_DEVICE = 1024 * 1024;

export interface FileCreation extends WaitOptions {
  readonly preallocation?: Preallocation;
  readonly hints?: FileHints;
  /** Told what was asked for and could not be done, where the file is good without it. */
  readonly warn?: (message: string) => void;
}

/**
 * Makes a file of `size` zero bytes, or empties the one that is there; a file that another process uses is left alone (LOCKED).
 * A block device must be large enough; only the first MiB of it becomes zero.
 */
export async function createFile(filename: string, size: number, options: FileCreation = {}): Promise<void> {
  const { preallocation = "off", hints, signal, warn } = options;
  const calls = await loadHostCalls();
  const file = await HostFile.open({ filename, nodeName: filename, mode: "create" });
  try {
    checkPreallocation(file, preallocation);
    lockImage(calls, file, CREATION_ACCESS);
    if (file.isDevice) return await clearDevice(file, size);
    // First to nothing: what the file held must not show through.
    await file.truncate(0);
    if (hints !== undefined) giveHints(calls, file, hints, warn);
    await growFile(calls, file, { from: 0, to: size, preallocation, signal });
  } finally {
    await file.close();
  }
}

/** To a file that is empty, as file systems want it. */
function giveHints(calls: HostCalls, { fd }: HostFile, hints: FileHints, warn: FileCreation["warn"]): void {
  if (hints.noCopyOnWrite) calls.stopCopyOnWrite?.(fd);
  if (hints.extentSize === 0) return;
  const result = calls.hintExtentSize?.(fd, hints.extentSize) ?? -constants.errno.EOPNOTSUPP;
  if (result < 0 && hints.extentSizeAsked) warn?.(`Failed to set extent size hint: ${errnoWords(errnoName(-result))}`);
}

async function clearDevice(file: HostFile, size: number): Promise<void> {
  if (size > file.initialSize) {
    throw new BlockError("NO_SPACE", `Could not create '${file.name}': the device has ${file.initialSize} bytes, not ${size}`, {
      node: file.nodeName,
    });
  }
  await file.writeZeroBytes(0, Math.min(CLEARED_ON_DEVICE, file.initialSize));
}
