/** Makes a failing schedule short and plain: the fewest choices that differ from the plain ones. */

import type { Schedule } from "./schedule.ts";

/** Runs that shrinking may take. */
const MOST_RUNS = 600;

/** `fails` runs a schedule and tells what it took, if the same kind of failure came again. */
export async function shrink(schedule: Schedule, fails: (schedule: Schedule) => Promise<Schedule | undefined>): Promise<Schedule> {
  let best = trimmed(schedule);
  let runs = 0;
  const accept = async (candidate: Schedule): Promise<boolean> => {
    if (runs++ >= MOST_RUNS || !isShorter(candidate, best)) return false;
    const taken = await fails(candidate);
    if (taken === undefined) return false;
    // What a candidate really took may be shorter still, but never longer than what was asked for.
    const shorter = trimmed(taken);
    best = isShorter(shorter, trimmed(candidate)) ? shorter : trimmed(candidate);
    return true;
  };
  for (let again = true; again && runs < MOST_RUNS;) {
    again = false;
    for (let length = Math.ceil(best.length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
      for (let start = 0; start < best.length;) {
        if (await accept([...best.slice(0, start), ...best.slice(start + length)])) again = true;
        else if (await accept(best.map((choice, index) => (index >= start && index < start + length ? 0 : choice)))) again = true;
        else start += length;
      }
    }
    for (let index = 0; index < best.length; index++) {
      const lower = (best[index] ?? 0) - 1;
      if (lower >= 0 && (await accept(best.map((choice, at) => (at === index ? lower : choice))))) again = true;
    }
  }
  return best;
}

function trimmed(schedule: Schedule): Schedule {
  return schedule.slice(0, schedule.findLastIndex((choice) => choice !== 0) + 1);
}

/** Fewer choices; of as many, fewer that are not plain; of as many, smaller ones. */
function isShorter(one: Schedule, other: Schedule): boolean {
  const [first, second] = [weight(trimmed(one)), weight(trimmed(other))];
  const at = first.findIndex((value, index) => value !== second[index]);
  return at >= 0 && (first[at] ?? 0) < (second[at] ?? 0);
}

function weight(schedule: Schedule): readonly number[] {
  return [schedule.length, schedule.filter((choice) => choice !== 0).length, schedule.reduce((sum, choice) => sum + choice, 0)];
}
