/** What stands between the guest's bytes and those in the file, and I/O that goes through it. qcow2 spec, "Data encryption". */

import { type BlockChild, MAX_ZEROS, type Transform, zeros } from "@coblock/core";
import { SECTOR_LENGTH, type SectorCipher } from "@coblock/crypto";

/** Sectors are numbered by where they lie in the file, or in the data file. */
export function luksTransform(cipher: SectorCipher): Transform {
  return {
    encode: ({ childOffset }, from, into) => cipher.encrypt(childOffset / SECTOR_LENGTH, from, into),
    decode: ({ childOffset }, bytes) => cipher.decrypt(childOffset / SECTOR_LENGTH, bytes, bytes),
  };
}

/** Sectors are numbered as the guest does. */
export function legacyTransform(cipher: SectorCipher): Transform {
  return {
    encode: ({ guestOffset }, from, into) => cipher.encrypt(guestOffset / SECTOR_LENGTH, from, into),
    decode: ({ guestOffset }, bytes) => cipher.decrypt(guestOffset / SECTOR_LENGTH, bytes, bytes),
  };
}

/** Where a run of guest bytes lies. */
export interface GuestPlace {
  readonly child: BlockChild;
  readonly childOffset: number;
  readonly transform?: Transform | undefined;
}

/** Writes what the guest has at `guestOffset`, whole sectors. */
export async function writeGuestBytes(
  { child, childOffset, transform }: GuestPlace,
  guestOffset: number,
  bytes: Uint8Array,
): Promise<void> {
  if (transform === undefined) return child.write(childOffset, bytes);
  const encoded = new Uint8Array(bytes.length);
  await transform.encode({ guestOffset, childOffset }, bytes, encoded);
  await child.write(childOffset, encoded);
}

/** Makes whole sectors of the guest's read as zeros where they lie. */
export async function writeGuestZeros(place: GuestPlace, guestOffset: number, length: number): Promise<void> {
  if (place.transform === undefined) return place.child.writeZeroes(place.childOffset, length);
  for (let done = 0; done < length; done += MAX_ZEROS) {
    const at = { ...place, childOffset: place.childOffset + done };
    await writeGuestBytes(at, guestOffset + done, zeros(Math.min(MAX_ZEROS, length - done)));
  }
}
