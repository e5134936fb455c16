/** Scenarios of qcow2 once more with nobody who hears the driver: where the tables are in memory, a write that allocates waits for its data alone. */

import type { Scenario } from "@coblock/testing";
import { qcow2Reserved, qcow2SlowData } from "./qcow2-order.ts";
import { qcow2CopyUp, qcow2Overlap, qcow2OverlapWarm } from "./qcow2-overlaps.ts";
import { qcow2KeptPlace, qcow2ReuseBeside } from "./qcow2-retired.ts";
import { qcow2Storm, qcow2StormEio, qcow2StormEnospc, qcow2StormOverlay, qcow2StormPlaces, qcow2StormShared } from "./qcow2-storms.ts";

export const QCOW2_PROMPT: readonly Scenario[] = [
  qcow2Overlap,
  qcow2OverlapWarm,
  qcow2CopyUp,
  qcow2KeptPlace,
  qcow2ReuseBeside,
  qcow2Reserved,
  qcow2SlowData,
  qcow2Storm,
  qcow2StormShared,
  qcow2StormOverlay,
  qcow2StormPlaces,
  qcow2StormEio,
  qcow2StormEnospc,
].map((scenario) => ({
  ...scenario,
  name: scenario.name.replace("qcow2-", "qcow2-prompt-"),
  about: `${scenario.about}; nobody hears the driver`,
  storage: { ...scenario.storage, events: false },
}));
