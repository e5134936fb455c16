/** The manual of `coblock bench`. */

import { cache, FORCE_SHARE, FORMAT, IMAGE_OPTIONS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["filename"],
  description: ["Sends many requests of one size to the image, at a fixed distance from each other, and tells how long they took."],
  options: {
    count: { argument: "count", help: "requests (default 75000)" },
    depth: { argument: "depth", help: "requests in flight (default 64)" },
    format: FORMAT,
    flushInterval: { argument: "count", help: "flush after so many writes" },
    aio: { argument: "mode", completes: ["threads", "native", "io_uring"], help: "is checked and changes nothing" },
    native: "is taken and changes nothing",
    noDrain: "flush without waiting for the writes in flight",
    offset: { argument: "offset", help: "of the first request; behind the end it goes on from the beginning" },
    pattern: { argument: "byte", help: "what is written (default 0)" },
    quiet: QUIET,
    length: { argument: "size", help: "bytes of a request (default 4k)" },
    step: { argument: "size", help: "from one request's offset to the next one's (default: as many as a request has)" },
    cache: cache("when what is written is safe (default writeback)"),
    write: "write instead of read: the image's content is lost",
    imageOptions: IMAGE_OPTIONS,
    forceShare: FORCE_SHARE,
  },
  examples: [{ line: "coblock bench -c 100000 -d 1 disk.qcow2", why: "read 4 KiB a hundred thousand times, one after the other" }],
};
