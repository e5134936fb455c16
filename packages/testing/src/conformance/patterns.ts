/** Contents for tests: bytes that tell where they belong and who wrote them. */

/** Bytes of writer `tag` for `offset`; none of them is zero, and each differs from its neighbours and from other writers' there. */
export function patternOf(tag: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const at = offset + index;
    bytes[index] = 1 + ((at * 7 + Math.floor(at / 512) * 13 + tag * 101) % 251);
  }
  return bytes;
}

/** The first bytes, for messages. */
export function describeBytes(bytes: Uint8Array): string {
  return `[${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}]`;
}
