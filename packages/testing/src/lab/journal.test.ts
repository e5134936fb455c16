import { expect, test } from "vitest";
import { Journal } from "./journal.ts";

test("lines number the steps, put under each what follows from it, and tell locks where they changed", () => {
  let locks: readonly string[] = [];
  const journal = new Journal({ keep: true, locks: () => locks });
  journal.step(() => "A begins");
  journal.note(() => "A: write disk 0x0+512 begins");
  locks = ['lock "claims" is held by A'];
  journal.step(() => "B begins");
  journal.step(() => "sim:a: write 0x0+512 ends");
  locks = [];
  journal.step(() => "A goes on");
  expect(journal.kept).toBe(true);
  expect(journal.lines).toEqual([
    "   1  A begins",
    "        A: write disk 0x0+512 begins",
    '        locks: lock "claims" is held by A',
    "   2  B begins",
    "   3  sim:a: write 0x0+512 ends",
    "        locks: all free",
    "   4  A goes on",
  ]);
});

test("one that is not kept is empty, and asks nobody for a line", () => {
  const nobody = (): never => {
    throw new Error("a line is made for nobody");
  };
  const journal = new Journal({ keep: false, locks: nobody });
  journal.step(nobody);
  journal.note(nobody);
  expect([journal.kept, journal.lines]).toEqual([false, []]);
});
