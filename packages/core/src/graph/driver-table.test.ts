import { expect, test } from "vitest";
import type { DriverEntry } from "../driver.ts";
import { labDriver } from "../fixture/lab.ts";
import { DriverTable } from "./driver-table.ts";

function entry(name: string, kind: DriverEntry["kind"], score?: number): DriverEntry {
  const plain = labDriver(name, kind, () => Promise.reject(new Error("not opened here")));
  return score === undefined ? plain : { ...plain, probe: () => score };
}

test("two drivers of one name are refused", () => {
  expect(() => new DriverTable([entry("a", "format"), entry("a", "protocol")])).toThrow("two drivers are called 'a'");
});

test("a driver that is not there is refused by name", () => {
  expect(() => new DriverTable([]).entry("qcow3")).toThrow("Unknown driver 'qcow3'");
});

test("the surest format wins; protocols and filters are not asked, 0 is no answer", () => {
  const entries = [
    entry("p", "protocol", 100),
    entry("f", "filter", 100),
    entry("a", "format", 10),
    entry("b", "format", 90),
    entry("c", "format", 90),
    entry("d", "format"),
  ];
  expect(new DriverTable(entries).probe(new Uint8Array(0), "x")).toBe("b");
  expect(() => new DriverTable([entry("a", "format", 0), entry("d", "format")]).probe(new Uint8Array(0), "x")).toThrow(
    "Could not determine the format of 'x'",
  );
});

test("a protocol is found by its name and by its other prefixes; what is no protocol by none", () => {
  const table = new DriverTable([{ ...entry("nbd", "protocol"), schemes: ["nbds"] }, entry("qed", "format")]);
  expect(["nbd", "nbds", "qed", "file"].map((scheme) => table.protocol(scheme)?.name)).toEqual(["nbd", "nbd", undefined, undefined]);
});
