/** JSON as qemu-img prints it: four spaces, one element a line, plain ASCII. */

export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/** Members that are `undefined` are left out; the order is that of the object. */
export function formatJson(value: JsonValue, indent: string = ""): string {
  if (typeof value === "string") return quoteJson(value);
  if (value === null || typeof value !== "object") return String(value);
  const inner = `${indent}    `;
  if (isList(value))
    return wrap(
      "[",
      value.map((element) => inner + formatJson(element, inner)),
      `${indent}]`,
    );
  const members: string[] = [];
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) members.push(`${inner}${quoteJson(name)}: ${formatJson(member, inner)}`);
  }
  return wrap("{", members, `${indent}}`);
}

/** A string with all but printable ASCII escaped. */
export function quoteJson(text: string): string {
  return JSON.stringify(text).replace(/\\\\|\\u[0-9a-f]{4}|[^ -~]/g, (found) => {
    if (found === "\\\\") return found;
    const code = found.length > 1 ? Number.parseInt(found.slice(2), 16) : found.charCodeAt(0);
    return `\\u${code.toString(16).toUpperCase().padStart(4, "0")}`;
  });
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function wrap(open: string, lines: readonly string[], close: string): string {
  return lines.length === 0 ? `${open}\n${close}` : `${open}\n${lines.join(",\n")}\n${close}`;
}
