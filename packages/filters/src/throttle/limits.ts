/** How much may pass: QEMU's `x-bps-total` and its kin. */

import { BlockError } from "@coblock/core";
import { wholeNumber } from "../option-values.ts";

/** What is counted together. */
type Counted = "total" | "read" | "write";

/** One limit; units are bytes or operations. */
export interface Limit {
  readonly counts: Counted;
  readonly unit: "bytes" | "operations";
  /** Units a second in the long run. */
  readonly average: number;
  /** Units a second in a burst; 0: the average, a tenth of a second at once. */
  readonly burst: number;
  /** Seconds. */
  readonly burstLength: number;
}

/** All limits of a group. */
export interface ThrottleLimits {
  readonly limits: readonly Limit[];
  /** Bytes that count as one operation; 0: requests do, whatever their length. */
  readonly operationSize: number;
}

/** From options such as `x-bps-read-max`, with or without the `x-`. Throws INVALID_OPTION. */
export function limitsOf(options: ReadonlyMap<string, unknown>): ThrottleLimits {
  const rest = new Map([...options].map(([name, value]) => [name.replace(/^x-/, ""), value]));
  const take = (name: string, fallback: number): number => {
    const value = wholeNumber(rest.get(name), name) ?? fallback;
    rest.delete(name);
    return value;
  };
  const limits: Limit[] = [];
  for (const unit of ["bytes", "operations"] as const) {
    for (const counts of ["total", "read", "write"] as const) {
      const name = `${unit === "bytes" ? "bps" : "iops"}-${counts}`;
      const limit = { counts, unit, average: take(name, 0), burst: take(`${name}-max`, 0), burstLength: take(`${name}-max-length`, 1) };
      checkLimit(name, limit);
      if (limit.average > 0) limits.push(limit);
    }
  }
  const operationSize = take("iops-size", 0);
  const [unknown] = rest.keys();
  if (unknown !== undefined) throw new BlockError("INVALID_OPTION", `Parameter '${unknown}' is unexpected`);
  checkTotals(limits);
  return { limits, operationSize };
}

function checkLimit(name: string, { average, burst, burstLength }: Limit): void {
  if (burst > 0 && average === 0) throw new BlockError("INVALID_OPTION", "bps_max/iops_max require corresponding bps/iops values");
  if (burst > 0 && burst < average) throw new BlockError("INVALID_OPTION", "bps_max/iops_max cannot be lower than bps/iops");
  if (burstLength === 0) throw new BlockError("INVALID_OPTION", `the burst length of ${name} cannot be 0`);
  if (burst === 0 && burstLength > 1) throw new BlockError("INVALID_OPTION", "burst length set without burst rate");
}

function checkTotals(limits: readonly Limit[]): void {
  const has = (unit: Limit["unit"], isTotal: boolean): boolean =>
    limits.some((limit) => limit.unit === unit && (limit.counts === "total") === isTotal);
  if ((["bytes", "operations"] as const).some((unit) => has(unit, true) && has(unit, false)))
    throw new BlockError("INVALID_OPTION", "bps/iops/max total values and read/write values cannot be used at the same time");
}
