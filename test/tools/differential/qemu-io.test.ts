import { BothPrograms } from "./both-programs.ts";
import { compareTable } from "./compare-table.ts";
import { makeIoFiles } from "./tables/qemu-io-files.ts";
import { BLKDEBUG, OTHER_DRIVERS } from "./tables/qemu-io-drivers.ts";
import { OPENING, PROGRAM } from "./tables/qemu-io-program.ts";
import { ASYNCHRONOUS, DISKS, READS, STATES, WRITES } from "./tables/qemu-io-requests.ts";

compareTable("qemu-io", async () => new BothPrograms("qemu-io", makeIoFiles), {
  reads: READS,
  writes: WRITES,
  states: STATES,
  asynchronous: ASYNCHRONOUS,
  disks: DISKS,
  program: PROGRAM,
  opening: OPENING,
  blkdebug: BLKDEBUG,
  "other drivers": OTHER_DRIVERS,
});
