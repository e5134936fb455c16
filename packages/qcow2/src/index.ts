/** The qcow2 image format for Coblock. */

export { qcow2Driver } from "./driver.ts";
export type { OverlapChecks, OverlapTemplate, Qcow2Options } from "./options.ts";
