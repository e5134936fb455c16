/** The `memory` driver as graphs list it. */

import type { DriverEntry } from "../driver.ts";

/** Bytes in memory, zero where nothing was written, gone when closed. */
export const memoryDriver: DriverEntry = {
  name: "memory",
  kind: "protocol",
  load: async () => (await import("./memory-driver.ts")).driver,
};
