/** Random sequences of commands, by seed: after each line both programs have said the same, and their images are worth the same. */

import { expect, it } from "vitest";
import { Sequence, type Step } from "./sequence.ts";
import { type Line, type Outcome, SequencePrograms } from "./sequence-programs.ts";

/** `COBLOCK_SEQUENCES=500` runs so many, `COBLOCK_SEQUENCE=17` from that seed on. */
const COUNT = Number(process.env["COBLOCK_SEQUENCES"] ?? 4);
const FIRST = Number(process.env["COBLOCK_SEQUENCE"] ?? 1);
/** Lines after those that make the disk. */
const STEPS = 16;
/** Images are compared after so many lines. */
const COMPARED = 4;

it.each(Array.from({ length: COUNT }, (_, index) => FIRST + index))("sequence %i", { timeout: 120_000 }, async (seed) => {
  using programs = new SequencePrograms();
  const sequence = new Sequence(seed);
  const lines: string[] = [];
  const run = async ({ line, succeeded }: Step): Promise<boolean> => {
    lines.push(`${line.program} ${line.words.map((word) => (word.includes(" ") ? `'${word}'` : word)).join(" ")}`);
    const { theirs, ours } = await programs.run(line);
    // qemu-img 7.2 crashes now and then when it changes the width of refcounts.
    if (theirs.exitCode === null) return false;
    expect(ours, lines.join("\n")).toEqual(asOurs(line, theirs, ours));
    if (theirs.exitCode === 0) succeeded?.();
    return true;
  };
  const compare = async (): Promise<void> => {
    const { theirs, ours } = await programs.images();
    expect(ours, lines.join("\n")).toEqual(theirs);
  };
  for (const step of sequence.beginning()) expect(await run(step)).toBe(true);
  for (let done = 1; done <= STEPS; done++) {
    if (!(await run(sequence.next()))) return;
    if (done % COMPARED === 0) await compare();
  }
});

/** Messages may be in Coblock's words. */
const OWN_WORDS: readonly RegExp[] = [
  /more references than refcounts of \d+ bits can hold$/m,
  /its data file is raw, and has no room for a backing file$/m,
];

/** What ours may say instead: that an image is sound in which theirs has leaks, and why something fails. */
function asOurs({ words: [command] }: Line, theirs: Outcome, ours: Outcome): Outcome {
  if (command === "check" && theirs.stderr.includes("Leaked cluster") && ours.exitCode === 0 && ours.stderr === "") return ours;
  return theirs.stderr !== "" && OWN_WORDS.some((words) => words.test(ours.stderr)) ? { ...theirs, stderr: ours.stderr } : theirs;
}
