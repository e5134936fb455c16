/** What qemu-io prints of a request: how much, where, how fast; and the bytes themselves. */

import { formatFixed } from "../text/fixed.ts";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export interface RequestReport {
  readonly verb: "read" | "wrote" | "discard";
  readonly offset: number;
  readonly length: number;
  readonly elapsedMs: number;
  /** `-C`: one line for programs. */
  readonly machine: boolean;
}

/** One or two lines. */
export function describeRequest({ verb, offset, length, elapsedMs, machine }: RequestReport): string {
  const seconds = Math.max(elapsedMs, 0.001) / 1000;
  const [bytesPerSecond, operationsPerSecond] = [length / seconds, 1 / seconds];
  if (machine) return `${length},1,${longDuration(seconds)},${formatFixed(bytesPerSecond, 3)},${formatFixed(operationsPerSecond, 3)}\n`;
  const speed = `${formatQuantity(bytesPerSecond)}/sec and ${formatFixed(operationsPerSecond, 4)} ops/sec`;
  return `${verb} ${length}/${length} bytes at offset ${offset}\n${formatQuantity(length)}, 1 ops; ${duration(seconds)} (${speed})\n`;
}

/** "64 KiB", "1.500 KiB", "100 bytes": the largest unit that leaves at least one. */
export function formatQuantity(bytes: number): string {
  let unit = 0;
  while (unit < UNITS.length - 1 && bytes >= 1024 ** (unit + 1)) unit++;
  const text = formatFixed(bytes / 1024 ** unit, unit === 0 ? 6 : 3).replace(/\.0+$/, "");
  return `${text} ${UNITS[unit] ?? ""}`;
}

/** 16 bytes a line: where, in hexadecimal, and as characters. */
export function dumpBytes(bytes: Uint8Array, offset: number): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const digits = row.map((byte) => `${byte.toString(16).padStart(2, "0")} `).join("");
    const characters = row.map((byte) => (isLetterOrDigit(byte) ? String.fromCharCode(byte) : ".")).join("");
    text += `${(offset + at).toString(16).padStart(8, "0")}:  ${digits} ${characters}\n`;
  }
  return text;
}

function isLetterOrDigit(byte: number): boolean {
  return /[0-9A-Za-z]/.test(String.fromCharCode(byte));
}

function duration(seconds: number): string {
  return seconds >= 60 ? longDuration(seconds) : `${twoPlaces(seconds)} sec`;
}

function longDuration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${twoPlaces(seconds % 60)}`;
}

/** Cut, not rounded: 59.999 s are no minute. */
function twoPlaces(seconds: number): string {
  return formatFixed(Math.floor(seconds * 100) / 100, 2).padStart(5, "0");
}
