/** The encryption that qcow and qcow2 had before LUKS: AES-128-CBC, whose key is the password itself. Only fit for reading old images. */

import { createSectorCipher, type SectorCipher } from "./sector-cipher.ts";

const KEY_LENGTH = 16;

/** Sector numbers are the guest's. Any password gives a cipher: nothing tells whether it is the right one. */
export function legacyAesCipher(password: Uint8Array): SectorCipher {
  const key = new Uint8Array(KEY_LENGTH);
  key.set(password.subarray(0, KEY_LENGTH));
  return createSectorCipher({ keyBits: 128, mode: "cbc", ivGenerator: "plain64" }, key);
}
