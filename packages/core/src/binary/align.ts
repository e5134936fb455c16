/** Rounding of byte offsets, exact for all safe integers (no 32-bit operators). */

/** The largest multiple of `unit` that is not above `offset`. */
export function alignDown(offset: number, unit: number): number {
  return offset - (offset % unit);
}

/** The smallest multiple of `unit` that is not below `offset`. */
export function alignUp(offset: number, unit: number): number {
  const over = offset % unit;
  return over === 0 ? offset : offset - over + unit;
}

/** Whether `value` is 1, 2, 4, … up to 2^52. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value)) && 2 ** Math.log2(value) === value;
}
