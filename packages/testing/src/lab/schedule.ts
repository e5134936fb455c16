/** A schedule: the choices of one run in order, as numbers and as text to replay it with. */

/** Each is the index of what was chosen; 0 is the plain choice (what waits longest goes first, nothing fails), and so is all that is left out. */
export type Schedule = readonly number[];

/** `1.0.3`; an empty schedule is `0`. */
export function scheduleText(schedule: Schedule): string {
  const last = schedule.findLastIndex((choice) => choice !== 0);
  return last < 0 ? "0" : schedule.slice(0, last + 1).join(".");
}

/** Throws where `text` is nothing that `scheduleText` made. */
export function parseSchedule(text: string): Schedule {
  if (!/^\d+(\.\d+)*$/.test(text)) throw new Error(`'${text}' is no schedule: numbers with dots between are expected`);
  return text.split(".").map(Number);
}
