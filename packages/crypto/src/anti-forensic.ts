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
  let folded = new Uint8Array(keyLength);
  for (let at = 0; at < stripes.length; at += keyLength) folded = diffuse(hash, combine(folded, stripes.subarray(at, at + keyLength)));
  return folded;
}

function combine(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(one, (byte, index) => byte ^ (other[index] ?? 0));
}

/** Each piece as long as a digest becomes the hash of its number and itself, the last one cut off. */
function diffuse(hash: HashName, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const step = digestLength(hash);
  const diffused = new Uint8Array(bytes.length);
  const number = new Uint8Array(4);
  for (let at = 0, index = 0; at < bytes.length; at += step, index++) {
    number[3] = index;
    const piece = bytes.subarray(at, at + step);
    diffused.set(digestOf(hash, number, piece).subarray(0, piece.length), at);
  }
  return diffused;
}
