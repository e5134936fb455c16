/** Schedules as text. */

import { expect, test } from "vitest";
import { parseSchedule, scheduleText } from "./schedule.ts";

test("plain choices at the end are left out, and nothing else", () => {
  expect(scheduleText([])).toBe("0");
  expect(scheduleText([0, 0])).toBe("0");
  expect(scheduleText([1, 0, 12, 0, 0])).toBe("1.0.12");
});

test("text comes back as it went", () => {
  expect(parseSchedule("0")).toEqual([0]);
  for (const text of ["0", "1", "0.1", "10.0.3"]) expect(scheduleText(parseSchedule(text))).toBe(text);
});

test.each(["", ".", "1.", "1..2", "-1", "a", "1,2", " 1"])("'%s' is refused", (text) => {
  expect(() => parseSchedule(text)).toThrow("is no schedule: numbers with dots between are expected");
});
