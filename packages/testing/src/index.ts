/** Everything that tests of drivers import. */

export { driverSuite, type ConformanceCase } from "./conformance/driver-suite.ts";
export { DiskModel, type Change } from "./conformance/disk-model.ts";
export { patternOf } from "./conformance/patterns.ts";
export type { DiscardReads, DriverSubject, Site } from "./conformance/subject.ts";
export { testFormatDriver, type TestFormatOptions } from "./format/test-format-driver.ts";
export { SeededRandom } from "./seeded-random.ts";
export type { CompletionMode } from "./storage/completions.ts";
export type { HeldOperations } from "./storage/held-operations.ts";
export type { LoggedOperation, StorageMatch, StorageOperation, StorageOperationKind } from "./storage/operation.ts";
export type { FaultOptions, StorageFault } from "./storage/storage-fault.ts";
export { TestStorage, type TestStorageOptions } from "./storage/test-storage.ts";
