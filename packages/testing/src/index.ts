/** Everything that tests of drivers import. */

export { driverSuite, type ConformanceCase } from "./conformance/driver-suite.ts";
export { DiskModel, type Change } from "./conformance/disk-model.ts";
export { patternOf } from "./conformance/patterns.ts";
export type { DiscardReads, DriverSubject, Site } from "./conformance/subject.ts";
export { testFormatDriver, type TestFormatOptions } from "./format/test-format-driver.ts";
export type { Actor } from "./lab/actor.ts";
export type { BreakPoints } from "./lab/break-points.ts";
export type { ChoiceSource } from "./lab/choices.ts";
export { explore, type Exploration, type ExploreOptions, expectNoFailure, type FoundFailure, replay } from "./lab/explore.ts";
export type { Lab } from "./lab/lab.ts";
export type { DiskRange, LabDisk } from "./lab/lab-disk.ts";
export { expectPowerCutsHarmless, powerCut, type PowerCutOptions, type PowerCutResult } from "./lab/power-cut.ts";
export { type FailureKind, RunFailure } from "./lab/run-failure.ts";
export type { RunResult } from "./lab/run.ts";
export type { Play, Scenario } from "./lab/scenario.ts";
export { parseSchedule, type Schedule, scheduleText } from "./lab/schedule.ts";
export type { SimClock } from "./lab/sim-clock.ts";
export type { SimFault, SimFaultRule } from "./lab/sim-fault.ts";
export type { SimOffload } from "./lab/sim-offload.ts";
export type { SimStorage, SimStorageOptions } from "./lab/sim-storage.ts";
export { SeededRandom } from "./seeded-random.ts";
export type { CompletionMode } from "./storage/completions.ts";
export type { HeldOperations } from "./storage/held-operations.ts";
export type { LoggedOperation, StorageMatch, StorageOperation, StorageOperationKind } from "./storage/operation.ts";
export type { FaultOptions, StorageFault } from "./storage/storage-fault.ts";
export { TestStorage, type TestStorageOptions } from "./storage/test-storage.ts";
