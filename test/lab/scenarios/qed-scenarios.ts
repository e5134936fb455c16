/** All scenarios of QED, and of the table cache that it stands on. */

import type { Scenario } from "@coblock/testing";
import { QED_CRASHES } from "./qed-crashes.ts";
import { qedEvict } from "./qed-evict.ts";
import { QED_FAULTS } from "./qed-faults.ts";
import { QED_TIMERS } from "./qed-need-check.ts";
import { QED_OVERLAPS } from "./qed-overlaps.ts";
import { TABLE_CACHE_SCENARIOS } from "./table-cache.ts";

export const QED_SCENARIOS: readonly Scenario[] = [
  ...TABLE_CACHE_SCENARIOS,
  qedEvict,
  ...QED_OVERLAPS,
  ...QED_CRASHES,
  ...QED_FAULTS,
  ...QED_TIMERS,
];
