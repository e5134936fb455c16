/** The QED image format. */

export { qedDriver, type QedOptions } from "./entry.ts";
