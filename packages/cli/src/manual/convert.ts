/** The manual of `coblock convert`. */

import { cache, file, FORCE_SHARE, format, IMAGE_OPTIONS, PROGRESS, QUIET, RATE, SNAPSHOT } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename [filename2 ...] output_filename"],
  description: [
    "Copies a disk, with all that its backing files hold of it, into a new image. Several images are put one behind the other.",
    "Zeros are not stored where the new format need not store them, and the target never is one of the files that are read.",
  ],
  options: {
    format: format("the format of the sources; else it is guessed from the first bytes"),
    targetFormat: format("the format of the new image (default raw)"),
    creation: { argument: "options", completes: "creation options", help: "options of the new image: name=value,... ; -o help lists them" },
    backingFile: file(
      "file",
      "the new image holds only what differs from that file, which must have the content of the source's backing file",
    ),
    backingFormat: format("the format of that file"),
    sparseSize: { argument: "size", help: "zeros of at least that many bytes are not stored (default 4k); 0 stores everything" },
    parallel: { argument: "num", help: "pieces in flight, 1 to 16 (default 4)" },
    outOfOrder: "is taken and changes nothing: pieces are written as they come",
    noCreate: "the target is there already",
    targetIsZero: "with -n: the target reads as zeros everywhere",
    salvage: "what cannot be read becomes zeros, with a warning",
    cache: cache("unsafe (default): the copy is in the host's page cache when it is done; writeback and the others: on the disk"),
    sourceCache: cache("is checked and changes nothing"),
    progress: PROGRESS,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
    targetImageOptions: "with -n: the target's name is a list of options",
    forceShare: FORCE_SHARE,
    compress: "compress what is stored, as the new image's compression_type says",
    copyOffloading: "let the host copy the bytes: it does where it can, with or without this option",
    snapshot: SNAPSHOT,
    rateLimit: RATE,
    bitmaps: "copy the dirty bitmaps that the image keeps",
    skipBrokenBitmaps: "with --bitmaps: leave out inconsistent ones, with a warning",
  },
  examples: [
    { line: "coblock convert -p -O qcow2 disk.raw disk.qcow2", why: "raw to qcow2" },
    { line: "coblock convert -c -O qcow2 -o compression_type=zstd disk.qcow2 small.qcow2", why: "compressed, for the archive" },
    { line: "coblock convert -O raw overlay.qcow2 whole.raw", why: "a chain into one file" },
    { line: "coblock convert -O qcow2 -B base.qcow2 -F qcow2 changed.qcow2 overlay.qcow2", why: "only what differs from base.qcow2" },
  ],
};
