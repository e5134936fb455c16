/** Hazard: an L2 table is thrown out of the cache while its update is on the way to the disk, and the old one is read again. */

import { rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import type { Scenario } from "@coblock/testing";
import { CLUSTER, qedDisk, TABLE_SPAN } from "./qed-images.ts";

/** QEMU, commit "qed: do not evict in-use L2 table cache entries". */
export const qedEvict: Scenario = {
  name: "qed-evict",
  about: "two allocating writes to one L2 table, with a read of another table between them and room for one table",
  drivers: [qedDriver, rawDriver],
  storage: { completions: "later" },
  async prepare(lab) {
    const disk = await qedDisk(lab, { cachedTables: 1, filled: [0, TABLE_SPAN] });
    return {
      actors: {
        A: (actor) => actor.write(disk, CLUSTER, 512),
        B: (actor) => actor.read(disk, TABLE_SPAN, 512),
        C: (actor) => actor.write(disk, 2 * CLUSTER, 512),
      },
    };
  },
};
