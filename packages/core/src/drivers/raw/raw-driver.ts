/** Opens, makes and measures raw images. */

import { alignUp } from "../../binary/align.ts";
import type { BlockChild } from "../../child.ts";
import type { CreateContext, ImageCreation, MeasuredContent, Measurement } from "../../creation.ts";
import type { BlockDriver, BlockImage, OpenContext } from "../../driver.ts";
import { BlockError } from "../../errors.ts";
import type { DriverOptions } from "../../options.ts";
import { PREALLOCATION_OPTION, preallocationOf } from "../preallocation-option.ts";
import { FirstSectorGuard } from "./first-sector-guard.ts";
import { RawImage } from "./raw-image.ts";

/** New images are whole sectors long, as qemu-img makes them. */
const SECTOR_LENGTH = 512;

/** `raw`: the bytes of `file` from `offset` on, all of them or `size`. */
export const driver: BlockDriver<"raw"> = Object.freeze({
  name: "raw",
  kind: "format",
  optionNames: ["file", "offset", "size"],
  open,
  createOptions: [PREALLOCATION_OPTION],
  create,
  measure,
});

async function open(options: DriverOptions["raw"], context: OpenContext): Promise<BlockImage> {
  const file = await context.child("file", "data", options.file);
  const { offset = 0, size } = options;
  checkWindow(file, offset, size, context);
  const guarded = context.probed && !context.readOnly && offset === 0;
  const guard = guarded ? new FirstSectorGuard(file, context) : undefined;
  return new RawImage({ file, offset, size, guard });
}

function checkWindow(file: BlockChild, offset: number, size: number | undefined, context: OpenContext): void {
  const refuse = (what: string): never => {
    throw new BlockError("INVALID_OPTION", `Could not open '${context.fileName}': ${what}`, { node: context.nodeName });
  };
  for (const [name, value] of Object.entries({ offset, size: size ?? 0 })) {
    if (!Number.isSafeInteger(value) || value < 0) refuse(`option '${name}' is ${String(value)}, not a number of bytes`);
  }
  if (offset > file.size) refuse(`offset ${offset} is behind the end of the file, which has ${file.size} bytes`);
  if (offset + (size ?? 0) > file.size)
    refuse(`offset ${offset} and size ${size} reach behind the end of the file, which has ${file.size} bytes`);
}

async function create(options: ImageCreation, context: CreateContext): Promise<void> {
  if (options.backing !== undefined) throw new BlockError("UNSUPPORTED_FEATURE", "Backing file not supported for file format 'raw'");
  const size = alignUp(options.size, SECTOR_LENGTH);
  const preallocation = preallocationOf(options.values);
  const file = await context.createFile(options.filename, preallocation === "off" ? size : 0);
  if (preallocation !== "off") await file.resize(size, { preallocation, shrink: false, signal: context.signal });
}

async function measure(content: MeasuredContent): Promise<Measurement> {
  const size = alignUp(content.size, SECTOR_LENGTH);
  return { required: size, fullyAllocated: size };
}
