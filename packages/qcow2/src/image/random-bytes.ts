/** Tells bytes that no deflate makes shorter, which costs it as much time as to find others shorter. */

/** Bytes that are looked at out of each stretch. */
const SAMPLE_LENGTH = 1024;
const STRETCH_LENGTH = 4096;
const VALUES = 256;
/**
 * Pearson's chi-squared of random bytes lies around 255 with a deviation of 22.6; six of those to either side leave out one in a billion.
 * Even the values at the upper end would save Huffman's code less than 0.2 % of the bytes, and what repeats itself is uneven, or too even.
 */
const MIN_CHI_SQUARED = 120;
const MAX_CHI_SQUARED = 390;

const counts = new Uint32Array(VALUES);

/** Whether all values occur as often as by chance: ciphertext, and much of what is compressed. At least 16 KiB, else `false`. */
export function looksRandom(bytes: Uint8Array): boolean {
  if (bytes.length < 4 * STRETCH_LENGTH) return false;
  counts.fill(0);
  let sampled = 0;
  for (let start = 0; start + SAMPLE_LENGTH <= bytes.length; start += STRETCH_LENGTH) {
    const end = start + SAMPLE_LENGTH;
    for (let at = start; at < end; at++) {
      const value = bytes[at] ?? 0;
      counts[value] = (counts[value] ?? 0) + 1;
    }
    sampled += SAMPLE_LENGTH;
  }
  const expected = sampled / VALUES;
  let sum = 0;
  for (const count of counts) sum += (count - expected) ** 2;
  const chiSquared = sum / expected;
  return chiSquared > MIN_CHI_SQUARED && chiSquared < MAX_CHI_SQUARED;
}
