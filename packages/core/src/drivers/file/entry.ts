/** The `file` driver as graphs list it. */

import type { DriverEntry } from "../../driver.ts";

/** Regular files and block devices of the host. */
export const fileDriver: DriverEntry = {
  name: "file",
  kind: "protocol",
  load: async () => (await import("./file-driver.ts")).driver,
};
