/** Options whose values may have come as JSON or as text: of any type until they were looked at. */

import { BlockError } from "@coblock/core";

/** A list, or an object whose members are numbered (`children.0`, `children.1`), as command lines give them. Throws INVALID_OPTION. */
export function listOf(value: unknown, name: string): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  const numbered = typeof value === "object" && value !== null ? Object.entries(value) : undefined;
  if (numbered?.every(([key], index) => key === String(index)) !== true)
    throw new BlockError("INVALID_OPTION", `Option '${name}' is not a list`);
  return numbered.map(([, member]) => member as unknown);
}

/** A whole number from `least` on, or what stands for none. Throws INVALID_OPTION. */
export function wholeNumber(value: unknown, name: string, least: number = 0): number | undefined {
  if (value === undefined) return undefined;
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < least)
    throw new BlockError("INVALID_OPTION", `Parameter '${name}' expects a number`);
  return number;
}

/** `on` and `off` are flags too. Throws INVALID_OPTION. */
export function flagOf(value: unknown, name: string): boolean {
  if (value === undefined || value === false || value === "off") return false;
  if (value === true || value === "on") return true;
  throw new BlockError("INVALID_OPTION", `Parameter '${name}' expects 'on' or 'off'`);
}

/** As messages show a value. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
