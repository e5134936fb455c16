/** Names another backing file in the header, or none. */

import { BlockError, type NamedFile } from "@coblock/core";
import { RAW_EXTERNAL_DATA } from "../format/features.ts";
import { backingSteps } from "../format/header-rewrite.ts";
import { decodeHeader } from "../format/header.ts";
import type { ImageFile } from "../metadata/image-file.ts";
import type { Description } from "./description.ts";

/** Under the driver lock. Answers what the image says of itself from then on; a power cut leaves the old name or the new. */
export async function changeBacking(file: ImageFile, description: Description, backing: NamedFile | undefined): Promise<Description> {
  const { fileName, node } = file.child;
  const named = backing === undefined || backing.filename === "" ? undefined : backing;
  if (named !== undefined && (file.autoclear & RAW_EXTERNAL_DATA) !== 0n)
    throw new BlockError("INVALID_OPTION", `${fileName}: its data file is raw, and has no room for a backing file`, { node: node.name });
  const cluster = new Uint8Array(2 ** description.header.clusterBits);
  await file.child.read(0, cluster.subarray(0, Math.min(cluster.length, file.size)));
  const steps = stepsOf(cluster, named, file);
  for (const step of steps) {
    await file.write(0, step);
    await file.flush();
  }
  const { backingOffset, backingLength } = decodeHeader(steps.at(-1) ?? cluster);
  const { backingFormat: _old, ...extensions } = description.extensions;
  return {
    ...description,
    header: { ...description.header, backingOffset, backingLength },
    extensions: named?.format === undefined ? extensions : { ...extensions, backingFormat: named.format },
    backingName: named?.filename,
  };
}

function stepsOf(cluster: Uint8Array, backing: NamedFile | undefined, file: ImageFile): readonly Uint8Array[] {
  try {
    return backingSteps(cluster, decodeHeader(cluster), backing);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.code, `${file.child.fileName}: ${error.message}`, { node: file.child.node.name, cause: error });
  }
}
