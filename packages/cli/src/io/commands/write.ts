/** `write` and `writev`: bytes into the disk, from a pattern, a file, or as zeros. */

import { BlockError } from "@coblock/core";
import { readFileSync } from "node:fs";
import type { IoCall, IoCommand } from "../command.ts";
import { IoFailure, IoUsage, systemWords } from "../failure.ts";
import { parsePattern } from "../number.ts";
import { checkSectors, parseLengths, parseRange } from "../ranges.ts";
import { describeRequest } from "../report.ts";
import type { Shell } from "../shell.ts";

/** What is written unless something else is asked for. */
const DEFAULT_PATTERN = 0xcd;

/** What is to be written, and what is to be printed of it. */
export interface Writing {
  readonly offset: number;
  readonly length: number;
  /** Absent: zeros, without data. */
  readonly bytes: Uint8Array | undefined;
  readonly compressed: boolean;
  readonly forced: boolean;
  readonly mayUnmap: boolean;
  /** Goes to the state of a machine, and not to the disk. */
  readonly vmState?: boolean;
  readonly quiet: boolean;
  readonly machine: boolean;
  /** Begins the line of a failure. */
  readonly called: string;
}

export const write: IoCommand = {
  name: "write",
  alias: "w",
  minimum: 2,
  letters: "bcCfnpP:qs:uz",
  synopsis: "[-bcCfnquz] [-P pattern | -s source_file] off len",
  summary: "write a range of bytes",
  explanation: `
 Example: 'write -P 7 512 1k' fills 1024 bytes at offset 512 with 7. Without a pattern it is 0xcd.

 -b              write to the state of the machine, not to the disk
 -c              compress, in whole clusters
 -C              print the statistics in one line, for programs
 -f              be on stable storage before the command ends
 -n              with -z: fail where writing zeros would mean to write data
 -P pattern      fill with this byte
 -s source_file  repeat the bytes of a file
 -q              print no statistics
 -u              with -z: the space may be given back
 -z              write zeros without data
 -p              nothing; it once had a meaning
`,
  needs: "write",
  run: (call) => perform(call.shell, writingOf(call)),
};

export const writev: IoCommand = {
  name: "writev",
  minimum: 2,
  letters: "CfqP:",
  synopsis: "[-Cfq] [-P pattern] off len [len..]",
  summary: "write a range of bytes from several buffers",
  explanation: `
 Example: 'writev 512 1k 1k' writes 2048 bytes at offset 512 from two buffers.

 -C          print the statistics in one line, for programs
 -f          be on stable storage before the command ends
 -P pattern  fill with this byte; without it with 0xcd
 -q          print no statistics
`,
  needs: "write",
  run: (call) => perform(call.shell, vectorOf(call, "writev")),
};

/** What `writev` and `aio_write` without zeros are asked for. Throws IoFailure and IoUsage. */
export function vectorOf(call: IoCall, called: string): Writing {
  const { shell, operands } = call;
  const pattern = patternOf(call) ?? DEFAULT_PATTERN;
  const [offsetWord, ...lengths] = operands;
  if (offsetWord === undefined || lengths.length === 0) throw new IoUsage();
  const offset = shell.number(offsetWord);
  const length = parseLengths(shell, lengths);
  return { offset, length, bytes: new Uint8Array(length).fill(pattern), ...flagsOf(call), called };
}

/** The flags that are said by letters. */
export function flagsOf(call: IoCall): Pick<Writing, "compressed" | "forced" | "mayUnmap" | "quiet" | "machine"> {
  return {
    compressed: call.has("c"),
    forced: call.has("f"),
    mayUnmap: call.has("u"),
    quiet: call.has("q"),
    machine: call.has("C"),
  };
}

/** `-P`. Throws IoFailure. */
export function patternOf(call: IoCall): number | undefined {
  const word = call.value("P");
  return word === undefined ? undefined : parsePattern(word);
}

/** Throws IoFailure where the write fails. */
export async function perform(shell: Shell, writing: Writing): Promise<void> {
  const { offset, length, quiet, machine, called } = writing;
  const startedMs = shell.clock.now();
  try {
    await send(shell, writing);
  } catch (error) {
    throw new IoFailure(`${called} failed: ${systemWords(error)}`);
  }
  const elapsedMs = shell.clock.now() - startedMs;
  if (!quiet) shell.print(describeRequest({ verb: "wrote", offset, length, elapsedMs, machine }));
}

async function send(shell: Shell, { offset, length, bytes, compressed, forced, mayUnmap, vmState = false }: Writing): Promise<void> {
  const { image } = shell;
  if (vmState && bytes !== undefined) return image.node.vmState.write(offset, bytes);
  const options = image.writing(forced);
  await image.prepareWrite(offset + length);
  if (bytes === undefined) return image.node.writeZeroes(offset, length, { ...options, mayUnmap });
  if (!compressed) return image.node.write(offset, bytes, options);
  const unit = image.node.compressionUnit;
  if (unit === undefined) throw new BlockError("UNSUPPORTED_FEATURE", "the format cannot compress");
  const whole = offset % unit === 0 && (length % unit === 0 || offset + length === image.node.size);
  if (!whole) throw new BlockError("INVALID_OPTION", `only whole units of ${unit} bytes can be compressed`);
  return image.node.writeCompressed(offset, bytes, options);
}

function writingOf(call: IoCall): Writing {
  const { shell, operands } = call;
  const pattern = patternOf(call);
  if (operands.length !== 2) throw new IoUsage();
  checkFlags(call);
  const limit = { how: " without -n", limited: !call.has("n") };
  const { offset, length } = parseRange(shell, operands, limit);
  if (call.has("b") || call.has("c")) checkSectors(operands, { offset, length });
  const source = call.value("s");
  const filled = (): Uint8Array =>
    source === undefined ? new Uint8Array(length).fill(pattern ?? DEFAULT_PATTERN) : repeated(source, length);
  return { offset, length, bytes: call.has("z") ? undefined : filled(), ...flagsOf(call), called: "write", vmState: call.has("b") };
}

function checkFlags(call: IoCall): void {
  const has = (letter: string): boolean => call.has(letter);
  if (has("b") && has("z")) throw new IoFailure("-b and -z cannot be specified at the same time");
  if (has("f") && (has("b") || has("c"))) throw new IoFailure("-f and -b or -c cannot be specified at the same time");
  if (has("n") && !has("z")) throw new IoFailure("-n requires -z to be specified");
  if (has("u") && !has("z")) throw new IoFailure("-u requires -z to be specified");
  if (["z", "P", "s"].filter(has).length > 1) throw new IoFailure("Only one of -z, -P, and -s can be specified at the same time");
}

/** The bytes of a file, again and again. */
function repeated(path: string, length: number): Uint8Array {
  let source: Uint8Array;
  try {
    source = readFileSync(path);
  } catch (error) {
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    throw new IoFailure(`${path}: ${systemWords(new BlockError("IO", path, { errno: code }))}`, "stderr");
  }
  if (source.length === 0) throw new IoFailure(`${path}: file is empty`, "stderr");
  return Buffer.alloc(length, source);
}
