import { BothPrograms } from "./both-programs.ts";
import { compareTable } from "./compare-table.ts";
import { makeIoFiles } from "./tables/qemu-io-files.ts";
import { BLKDEBUG, OTHER_DRIVERS } from "./tables/qemu-io-drivers.ts";
import { OPENING, PROGRAM } from "./tables/qemu-io-program.ts";
import { ASYNCHRONOUS, DISKS, READS, WRITES } from "./tables/qemu-io-requests.ts";

compareTable("qemu-io", async () => new BothPrograms("qemu-io", makeIoFiles), {
  reads: READS,
  writes: WRITES,
  asynchronous: ASYNCHRONOUS,
  disks: DISKS,
  program: PROGRAM,
  opening: OPENING,
  blkdebug: BLKDEBUG,
  "other drivers": OTHER_DRIVERS,
});
