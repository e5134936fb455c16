/** Contents for tests: bytes that tell where they belong and who wrote them. */

const SECTOR = 512;
const PERIOD = 251;
/** The step from one byte to the next, and the number by which that many steps are one, modulo the period. */
const STEP = 7;
const STEP_INVERSE = 36;
/** The row of bytes in which every sector stands somewhere. */
const ROW: Uint8Array = Uint8Array.from({ length: PERIOD + SECTOR }, (_, index) => 1 + ((index * STEP) % PERIOD));

/** Bytes of writer `tag` for `offset`; none of them is zero, and each differs from its neighbours and from other writers' there. */
export function patternOf(tag: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = offset; at < offset + length;) {
    const sector = Math.floor(at / SECTOR);
    const end = Math.min(offset + length, (sector + 1) * SECTOR);
    const first = (at + STEP_INVERSE * (sector * 13 + tag * 101)) % PERIOD;
    bytes.set(ROW.subarray(first, first + end - at), at - offset);
    at = end;
  }
  return bytes;
}

/** The first bytes, for messages. */
export function describeBytes(bytes: Uint8Array): string {
  return `[${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}]`;
}
