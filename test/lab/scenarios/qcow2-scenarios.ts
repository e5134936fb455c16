/** All scenarios of qcow2. */

import type { Scenario } from "@coblock/testing";
import { QCOW2_BITMAP_SCENARIOS } from "./qcow2-bitmaps.ts";
import { qcow2BitmapRequests } from "./qcow2-bitmap-requests.ts";
import { QCOW2_CLEANER } from "./qcow2-cleaner.ts";
import { qcow2EncryptedCopies, qcow2EncryptedFresh, qcow2EncryptedStorm } from "./qcow2-encrypted.ts";
import { qcow2Lazy, qcow2NewTables, qcow2Reserved, qcow2SlowData } from "./qcow2-order.ts";
import {
  qcow2Compressed,
  qcow2CopyShared,
  qcow2CopyUp,
  qcow2Evict,
  qcow2Overlap,
  qcow2OverlapWarm,
  qcow2Status,
  qcow2TwoMisses,
  qcow2ZeroCopy,
} from "./qcow2-overlaps.ts";
import { QCOW2_PROMPT } from "./qcow2-prompt.ts";
import {
  qcow2Growth,
  qcow2GrowthEio,
  qcow2GrowthShort,
  qcow2GrowthUnheard,
  qcow2HeaderFree,
  qcow2NoBlock,
  qcow2Resize,
  qcow2ResizeEio,
  qcow2ResizeUnheard,
} from "./qcow2-refcounts.ts";
import {
  qcow2KeptPlace,
  qcow2RetiredPack,
  qcow2ReuseBeside,
  qcow2ReuseCompressed,
  qcow2ReuseRead,
  qcow2ReuseWrite,
} from "./qcow2-retired.ts";
import { qcow2Shrink, qcow2ShrinkEio } from "./qcow2-shrink.ts";
import { QCOW2_SNAPSHOT_SCENARIOS } from "./qcow2-snapshots.ts";
import {
  qcow2EachEio,
  qcow2EachEnospc,
  qcow2EachShort,
  qcow2Storm,
  qcow2StormEio,
  qcow2StormEnospc,
  qcow2StormLazy,
  qcow2StormOverlay,
  qcow2StormPacked,
  qcow2StormPlaces,
  qcow2StormShared,
  qcow2StormShort,
} from "./qcow2-storms.ts";

export const QCOW2_SCENARIOS: readonly Scenario[] = [
  qcow2TwoMisses,
  qcow2Evict,
  qcow2Overlap,
  qcow2OverlapWarm,
  qcow2CopyUp,
  qcow2CopyShared,
  qcow2ZeroCopy,
  qcow2Compressed,
  qcow2Status,
  qcow2ReuseRead,
  qcow2ReuseWrite,
  qcow2ReuseBeside,
  qcow2ReuseCompressed,
  qcow2RetiredPack,
  qcow2KeptPlace,
  qcow2Reserved,
  qcow2SlowData,
  qcow2NewTables,
  qcow2Lazy,
  qcow2HeaderFree,
  qcow2NoBlock,
  qcow2Growth,
  qcow2GrowthEio,
  qcow2GrowthShort,
  qcow2GrowthUnheard,
  qcow2Resize,
  qcow2ResizeEio,
  qcow2ResizeUnheard,
  qcow2Shrink,
  qcow2ShrinkEio,
  qcow2Storm,
  qcow2StormPacked,
  qcow2StormShared,
  qcow2StormOverlay,
  qcow2StormLazy,
  qcow2StormPlaces,
  qcow2StormEio,
  qcow2StormEnospc,
  qcow2StormShort,
  qcow2EachEio,
  qcow2EachEnospc,
  qcow2EachShort,
  ...QCOW2_PROMPT,
  ...QCOW2_SNAPSHOT_SCENARIOS,
  ...QCOW2_BITMAP_SCENARIOS,
  qcow2BitmapRequests,
  ...QCOW2_CLEANER,
  qcow2EncryptedFresh,
  qcow2EncryptedCopies,
  qcow2EncryptedStorm,
];
