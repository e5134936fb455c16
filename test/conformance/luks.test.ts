import { driverSuite } from "@coblock/testing";
import { describe, it } from "vitest";
import { luksSubject } from "./subjects.ts";

describe("conformance of luks", () => {
  for (const { name, run } of driverSuite(luksSubject("luks"))) it(name, run);
});
