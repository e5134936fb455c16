/** The `raw` driver as graphs list it. */

import type { DriverEntry } from "../../driver.ts";

/** Guest bytes as they are. Any file may be one, so it answers a probe with the lowest score. */
export const rawDriver: DriverEntry = {
  name: "raw",
  kind: "format",
  probe: () => 1,
  load: async () => (await import("./raw-driver.ts")).driver,
};
