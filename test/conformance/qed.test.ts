import { driverSuite } from "@coblock/testing";
import { describe, it } from "vitest";
import { qedSubject, sampled } from "./subjects.ts";

describe("conformance of QED", () => {
  for (const { name, run } of driverSuite(qedSubject("qed"))) it(name, run);
  for (const { name, run } of driverSuite(sampled(qedSubject("qed with room for one table", { l2CacheSize: 1 })))) it(name, run);
});
