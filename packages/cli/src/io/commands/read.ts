/** `read` and `readv`: bytes of the disk, compared with a pattern or printed. */

import type { IoCall, IoCommand } from "../command.ts";
import { IoFailure, IoUsage, systemWords } from "../failure.ts";
import { parsePattern } from "../number.ts";
import { describeRequest, dumpBytes } from "../report.ts";
import type { Shell } from "../shell.ts";
import { checkSectors, parseLengths, parseRange } from "../ranges.ts";

/** What buffers hold before they are read into. */
const UNREAD = 0xab;

/** Bytes in the middle of what was read that must be `pattern`. */
interface Expected {
  readonly pattern: number;
  /** From the start of the buffer. */
  readonly start: number;
  readonly length: number;
}

/** Reads, with what is to be printed of it. */
export interface Reading {
  readonly offset: number;
  readonly length: number;
  readonly expected: Expected | undefined;
  readonly quiet: boolean;
  readonly machine: boolean;
  readonly dump: boolean;
  /** Of the state of a machine, and not of the disk. */
  readonly vmState?: boolean;
  /** Begins the line of a failure. */
  readonly called: string;
}

export const read: IoCommand = {
  name: "read",
  alias: "r",
  minimum: 2,
  letters: "bCl:pP:qs:v",
  synopsis: "[-abCqv] [-P pattern [-s off] [-l len]] off len",
  summary: "read a range of bytes",
  explanation: `
 Example: 'read -v 512 1k' reads 1024 bytes at offset 512 and prints them.

 -b          read from the state of the machine, not from the disk
 -C          print the statistics in one line, for programs
 -P pattern  check that each byte is this one
 -s off      check from there on, counted from the first byte that is read
 -l len      check that many bytes
 -q          print no statistics
 -v          print the bytes
 -p          nothing; it once had a meaning
`,
  needs: "image",
  run: async (call) => {
    const { shell, operands } = call;
    const pattern = patternOf(call);
    const [length, start] = [numberOf(call, "l"), numberOf(call, "s") ?? 0];
    if (operands.length !== 2) throw new IoUsage();
    const range = parseRange(shell, operands);
    if (pattern === undefined && (length !== undefined || call.has("s"))) throw new IoUsage();
    const checked = length ?? range.length - start;
    if (checked < 0 || start + checked > range.length) throw new IoFailure("pattern verification range exceeds end of read data");
    if (call.has("b")) checkSectors(operands, range);
    const expected = pattern === undefined ? undefined : { pattern, start, length: checked };
    await perform(shell, { ...range, ...printing(call), expected, called: "read", vmState: call.has("b") });
  },
};

export const readv: IoCommand = {
  name: "readv",
  minimum: 2,
  letters: "CP:qv",
  synopsis: "[-Cqv] [-P pattern] off len [len..]",
  summary: "read a range of bytes into several buffers",
  explanation: `
 Example: 'readv -v 512 1k 1k' reads 2048 bytes at offset 512 into two buffers and prints them.

 -C          print the statistics in one line, for programs
 -P pattern  check that each byte is this one
 -q          print no statistics
 -v          print the bytes
`,
  needs: "image",
  run: (call) => perform(call.shell, readingOf(call, "readv")),
};

/** What `readv` and `aio_read` are asked for. Throws IoFailure and IoUsage. */
export function readingOf(call: IoCall, called: string): Reading {
  const { shell, operands } = call;
  const pattern = patternOf(call);
  const [offsetWord, ...lengths] = operands;
  if (offsetWord === undefined || lengths.length === 0) throw new IoUsage();
  const offset = shell.number(offsetWord);
  const length = parseLengths(shell, lengths);
  return { offset, length, ...printing(call), expected: pattern === undefined ? undefined : { pattern, start: 0, length }, called };
}

/** Throws IoFailure where the read fails; what does not fit the pattern is told, and fails in the end. */
export async function perform(shell: Shell, reading: Reading): Promise<void> {
  const { offset, length, quiet, machine, dump, called, vmState = false } = reading;
  const startedMs = shell.clock.now();
  const bytes = new Uint8Array(length).fill(UNREAD);
  try {
    await (vmState ? shell.node.vmState.read(offset, bytes) : shell.image.read(offset, bytes));
  } catch (error) {
    throw new IoFailure(`${called} failed: ${systemWords(error)}`);
  }
  const elapsedMs = shell.clock.now() - startedMs;
  const fits = verify(shell, bytes, reading);
  if (!quiet && dump) shell.print(dumpBytes(bytes, offset));
  if (!quiet) shell.print(describeRequest({ verb: "read", offset, length, elapsedMs, machine }));
  if (!fits) throw new IoFailure("");
}

function verify(shell: Shell, bytes: Uint8Array, { offset, expected }: Reading): boolean {
  if (expected === undefined) return true;
  const { pattern, start, length } = expected;
  if (bytes.subarray(start, start + length).every((byte) => byte === pattern)) return true;
  shell.print(`Pattern verification failed at offset ${offset + start}, ${length} bytes\n`);
  return false;
}

function patternOf(call: IoCall): number | undefined {
  const word = call.value("P");
  return word === undefined ? undefined : parsePattern(word);
}

function numberOf(call: IoCall, letter: string): number | undefined {
  const word = call.value(letter);
  return word === undefined ? undefined : call.shell.number(word);
}

function printing(call: IoCall): Pick<Reading, "quiet" | "machine" | "dump"> {
  return { quiet: call.has("q"), machine: call.has("C"), dump: call.has("v") };
}
