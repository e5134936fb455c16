/** LUKS as graphs list it: its name, its probe and its options; the rest is loaded with the first image. */

import type { DriverEntry, NodeOptions } from "@coblock/core";

/** What a LUKS node is opened with. */
export interface LuksOptions {
  readonly file: NodeOptions;
  /** ID of the secret, among those of the graph, that holds the passphrase. */
  readonly keySecret?: string;
}

declare module "@coblock/core" {
  interface DriverOptions {
    luks: LuksOptions;
  }
}

const MAGIC = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1] as const;

/** Disks of LUKS version 1: header, key slots, then the enciphered disk. Give this to `BlockGraph`. */
export const luksDriver: DriverEntry = {
  name: "luks",
  kind: "format",
  probe: (head) => (MAGIC.every((byte, index) => head[index] === byte) ? 100 : 0),
  load: async () => (await import("./driver.ts")).driver,
};
