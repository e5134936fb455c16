/** Names of snapshots and bitmaps, as an image can hold them. */

/** Whether the name is read again as it was given, by every program: a NUL ends it for QEMU, and half a surrogate pair has no bytes in UTF-8. */
export function isStorableName(name: string): boolean {
  return typeof name === "string" && !name.includes("\0") && Buffer.from(name).toString() === name;
}
