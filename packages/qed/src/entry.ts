/** QED as graphs list it: its name, its probe and its options; the rest is loaded with the first image. */

import type { DriverEntry, NodeOptions } from "@coblock/core";

export interface QedOptions {
  readonly file: NodeOptions;
  /** Instead of the backing file that the image names; `null`: none. */
  readonly backing?: NodeOptions | null;
  /** Bytes of L2 tables to keep in memory, in slices of at most 256 KiB; at least one slice. Default 50 slices, with the usual geometry 50 tables. */
  readonly l2CacheSize?: number;
}

declare module "@coblock/core" {
  interface DriverOptions {
    qed: QedOptions;
  }
}

/** The QED format of QEMU. */
export const qedDriver: DriverEntry = {
  name: "qed",
  kind: "format",
  probe: (head) => (head[0] === 0x51 && head[1] === 0x45 && head[2] === 0x44 && head[3] === 0 ? 100 : 0),
  load: async () => (await import("./driver.ts")).driver,
};
