/** Opens and makes files of the host. */

import type { CreateContext, ImageCreation } from "../../creation.ts";
import type { BlockDriver, BlockImage, OpenContext } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import { loadHostCalls, type HostCalls } from "../../host/host-calls.ts";
import type { DriverOptions } from "../../options.ts";
import { PREALLOCATION_OPTION, preallocationOf } from "../preallocation-option.ts";
import { createFile } from "./create-file.ts";
import { FILE_HINTS, fileHintsOf } from "./file-hints.ts";
import { FileImage } from "./file-image.ts";
import { HostFile } from "./host-file.ts";
import { lockedAccess, lockImage } from "./image-locks.ts";

/** `file`: a regular file or a block device. `locking`: image locks, by default ("auto") where the host has them. */
export const driver: BlockDriver<"file"> = Object.freeze({
  name: "file",
  kind: "protocol",
  optionNames: ["filename", "locking"],
  open,
  createOptions: [PREALLOCATION_OPTION, ...FILE_HINTS],
  create,
});

/** The caller closes nothing: the file is made, and closed again. */
async function create(options: ImageCreation, context: CreateContext): Promise<void> {
  context.signal?.throwIfAborted();
  checkOptions(options.filename, "auto", options.filename);
  const { filename, size, values } = options;
  const { signal, warn } = context;
  await createFile(filename, size, { preallocation: preallocationOf(values), hints: fileHintsOf(values), signal, warn });
}

async function open(options: DriverOptions["file"], context: OpenContext): Promise<BlockImage> {
  const { filename, locking = "auto" } = options;
  const { nodeName, readOnly, clock } = context;
  checkOptions(filename, locking, nodeName);
  context.signal?.throwIfAborted();
  const calls = await loadHostCalls();
  const file = await HostFile.open({ filename, nodeName, mode: readOnly ? "read" : "write" });
  try {
    context.signal?.throwIfAborted();
    const locked = takeLocks(calls, file, locking, context);
    return new FileImage({ file, calls, clock, readOnly, locked });
  } catch (error) {
    await file.close();
    throw error;
  }
}

function checkOptions(filename: unknown, locking: unknown, node: string): void {
  if (typeof filename !== "string" || filename === "" || filename.includes("\0")) {
    throw new BlockError("INVALID_OPTION", `driver 'file' needs a 'filename', not ${JSON.stringify(filename)}`, { node });
  }
  if (locking !== "auto" && locking !== "on" && locking !== "off") {
    throw new BlockError("INVALID_OPTION", `option 'locking' is auto, on or off, not ${JSON.stringify(locking)}`, { node });
  }
}

function takeLocks(calls: HostCalls, file: HostFile, locking: "auto" | "on" | "off", context: OpenContext): boolean {
  if (locking === "off" || context.access.force) return false;
  const locked = lockImage(calls, file, lockedAccess(context.access));
  if (locked || locking === "auto") return locked;
  const message = `'${file.name}': image locks were asked for (locking=on), but this host or file system has none`;
  throw new BlockError("UNSUPPORTED_FEATURE", message, { node: context.nodeName });
}
