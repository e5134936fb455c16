/** Option strings: `name=value,name=value`, where `,,` is a comma within a value. */

import { CommandFailure } from "../failure.ts";

/** A name without `=` is a flag that is on, with `no` before it one that is off. A name that is given twice counts as it was given last. */
export function parseKeyValues(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (const part of splitAtCommas(text)) {
    const equals = part.indexOf("=");
    if (equals < 0 && part.startsWith("no")) {
      pairs.set(part.slice(2), "off");
      continue;
    }
    const name = equals < 0 ? part : part.slice(0, equals);
    if (name === "") throw new CommandFailure(`Invalid option list '${text}': a name is missing`, 1, { words: ["Invalid parameter ''"] });
    pairs.set(name, equals < 0 ? "on" : part.slice(equals + 1));
  }
  return pairs;
}

/** `on` or `off`, or another word for it; throws CommandFailure. */
export function parseFlag(value: string, name: string): boolean {
  if (value === "on" || value === "yes" || value === "true" || value === "y") return true;
  if (value === "off" || value === "no" || value === "false" || value === "n") return false;
  throw new CommandFailure(`Parameter '${name}' expects 'on' or 'off', not '${value}'`, 1, {
    words: [`Parameter '${name}' expects 'on' or 'off'`],
  });
}

/** The parts of a list, each with single commas again. */
export function splitAtCommas(text: string): readonly string[] {
  const parts: string[] = [];
  let part = "";
  for (const piece of text.split(/(,,|,)/)) {
    if (piece === ",") {
      parts.push(part);
      part = "";
    } else part += piece === ",," ? "," : piece;
  }
  if (part !== "") parts.push(part);
  return parts;
}
