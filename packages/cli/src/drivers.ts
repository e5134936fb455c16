/** The drivers that the command knows; each is loaded when an image needs it. */

import { fileDriver, memoryDriver, nullDriver, rawDriver, type DriverEntry } from "@coblock/core";
import { filterDrivers } from "@coblock/filters";
import { httpDriver, httpsDriver } from "@coblock/http";
import { luksDriver } from "@coblock/luks";
import { nbdDriver } from "@coblock/nbd";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";

export const DRIVERS: readonly DriverEntry[] = [
  fileDriver,
  memoryDriver,
  nullDriver,
  rawDriver,
  httpDriver,
  httpsDriver,
  nbdDriver,
  qcow2Driver,
  qedDriver,
  luksDriver,
  ...filterDrivers,
];

/** Names of the formats, as the help lists them. */
export const FORMATS: readonly string[] = DRIVERS.filter((entry) => entry.kind === "format").map((entry) => entry.name);
