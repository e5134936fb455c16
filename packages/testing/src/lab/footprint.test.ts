/** Which steps depend on each other. */

import { TaskGroup, type TouchKind } from "@coblock/core";
import { describe, expect, test } from "vitest";
import { Footprint, ObjectNames } from "./footprint.ts";

class Shared {
  readonly is: string = "shared";
}

class Other {
  readonly is: string = "something else";
}

function touching(names: ObjectNames, object: object, kind: TouchKind): Footprint {
  const footprint = new Footprint(names);
  footprint.touched(object, kind);
  return footprint;
}

function ranging(start: number, end: number, kind: TouchKind, name = "disk"): Footprint {
  const footprint = new Footprint(new ObjectNames());
  footprint.touchedRange(name, start, end, kind);
  return footprint;
}

describe("shared objects", () => {
  test("two reads commute, two adds do, all else does not, either way round", () => {
    const names = new ObjectNames();
    const object = new Shared();
    const kinds = ["read", "add", "write"] as const;
    const conflicts = kinds.map((one) => kinds.map((other) => touching(names, object, one).conflictsWith(touching(names, object, other))));
    expect(conflicts).toEqual([
      [false, true, true],
      [true, false, true],
      [true, true, true],
    ]);
  });

  test("one that is touched in two ways conflicts where either way does", () => {
    const names = new ObjectNames();
    const object = new Shared();
    const both = touching(names, object, "read");
    both.touched(object, "add");
    expect(both.conflictsWith(touching(names, object, "read"))).toBe(true);
    expect(both.conflictsWith(touching(names, object, "add"))).toBe(true);
  });

  test("those counted before the run are told apart; of later ones, all of one class are one", () => {
    const names = new ObjectNames();
    const [first, second] = [new Shared(), new Shared()];
    for (const object of [first, second, first]) names.count(object);
    expect([names.of(first), names.of(second)]).toEqual(["Shared 0", "Shared 1"]);
    expect(touching(names, first, "write").conflictsWith(touching(names, second, "write"))).toBe(false);
    expect(touching(names, new Shared(), "write").conflictsWith(touching(names, new Shared(), "write"))).toBe(true);
    expect(touching(names, new Shared(), "write").conflictsWith(touching(names, new Other(), "write"))).toBe(false);
    expect(names.of(new TaskGroup())).toBe("TaskGroup");
  });
});

describe("ranges", () => {
  test("meet where they share a byte of one name", () => {
    const write = ranging(512, 1024, "write");
    expect(write.conflictsWith(ranging(1023, 1024, "read"))).toBe(true);
    expect(write.conflictsWith(ranging(0, 513, "write"))).toBe(true);
    expect(write.conflictsWith(ranging(0, Infinity, "read"))).toBe(true);
    expect(write.conflictsWith(ranging(0, 512, "write"))).toBe(false);
    expect(write.conflictsWith(ranging(1024, 2048, "write"))).toBe(false);
    expect(write.conflictsWith(ranging(512, 1024, "write", "another disk"))).toBe(false);
    expect(ranging(0, 512, "read").conflictsWith(ranging(0, 512, "read"))).toBe(false);
  });

  test("have nothing to do with objects", () => {
    expect(ranging(0, 512, "write", "Shared").conflictsWith(touching(new ObjectNames(), new Shared(), "write"))).toBe(false);
  });
});

test("what is included counts as touched, however often", () => {
  const names = new ObjectNames();
  const object = new Shared();
  const all = new Footprint(names);
  expect(all.conflictsWith(touching(names, object, "write"))).toBe(false);
  for (let round = 0; round < 3; round++) {
    all.include(touching(names, object, "read"));
    all.include(ranging(0, 512, "read"));
  }
  expect(all.conflictsWith(touching(names, object, "write"))).toBe(true);
  expect(all.conflictsWith(touching(names, object, "read"))).toBe(false);
  expect(all.conflictsWith(ranging(0, 1, "write"))).toBe(true);
  expect(all.conflictsWith(ranging(512, 513, "write"))).toBe(false);
});
