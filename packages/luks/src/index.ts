/** Disks that are encrypted with LUKS. */

export { luksDriver, type LuksOptions } from "./entry.ts";
