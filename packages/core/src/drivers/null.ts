/** The `null` driver as graphs list it. */

import type { DriverEntry } from "../driver.ts";

/** Keeps nothing: for measuring what is above it. */
export const nullDriver: DriverEntry = {
  name: "null",
  kind: "protocol",
  load: async () => (await import("./null-driver.ts")).driver,
};
