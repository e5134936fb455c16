/** The anti-forensic splitter: a key spread over many stripes, all of which are needed. LUKS1 specification, "Anti-forensic splitting". */

import { digestLength, digestOf, type HashName } from "./hash-name.ts";

/** `random` has the bytes of all stripes but the last. */
export function splitKey(hash: HashName, key: Uint8Array, random: Uint8Array): Uint8Array {
  const material = new Uint8Array(random.length + key.length);
  material.set(random);
  material.set(combine(foldStripes(hash, random, key.length), key), random.length);
  return material;
}

/** The key, `keyLength` bytes, that the stripes of `material` hold. */
export function mergeKey(hash: HashName, material: Uint8Array, keyLength: number): Uint8Array {
  const last = material.length - keyLength;
  return combine(foldStripes(hash, material.subarray(0, last), keyLength), material.subarray(last));
}

function foldStripes(hash: HashName, stripes: Uint8Array, keyLength: number): Uint8Array {
  const folded = new Uint8Array(keyLength);
  const step = digestLength(hash);
  const numbered = new Uint8Array(4 + step);
  for (let at = 0; at < stripes.length; at += keyLength) {
    combine(folded, stripes.subarray(at, at + keyLength));
    diffuse(hash, folded, step, numbered);
  }
  return folded;
}

/** Into the first. */
function combine(bytes: Uint8Array, other: Uint8Array): Uint8Array {
  for (let index = 0; index < bytes.length; index++) bytes[index] = (bytes[index] ?? 0) ^ (other[index] ?? 0);
  return bytes;
}

/** Each piece as long as a digest becomes the hash of its number and itself, the last one cut off. `numbered` has room for both. */
function diffuse(hash: HashName, bytes: Uint8Array, step: number, numbered: Uint8Array): void {
  for (let at = 0, index = 0; at < bytes.length; at += step, index++) {
    const length = Math.min(step, bytes.length - at);
    numbered[3] = index;
    numbered.set(bytes.subarray(at, at + length), 4);
    bytes.set(digestOf(hash, numbered.subarray(0, 4 + length)).subarray(0, length), at);
  }
}
