/** Other passphrases for an encrypted image: `encrypt.*` of amend. */

import { assert, type AmendOptions, hex } from "@coblock/core";
import { changeSlots, type SlotChange } from "@coblock/crypto";
import { clusterOf, clustersFor } from "../format/geometry.ts";
import type { ImageOwner } from "../image/image-owner.ts";
import type { Keys } from "./open-encryption.ts";

/** In exclusive mode; on stable storage when it returns. Throws as `changeSlots` does, and CORRUPT_IMAGE where others lead to the place of the keys. */
export async function changeKeys(
  owner: ImageOwner,
  keys: Keys | undefined,
  change: SlotChange,
  { signal, force = false }: AmendOptions,
): Promise<void> {
  assert(keys !== undefined, "an encrypted image that is amended was opened with its key");
  await expectAlone(owner);
  const { clock, entropy, offload } = owner.context;
  const secret = (id: string): Uint8Array => owner.context.secret(id);
  const luks = await changeSlots(change, { ...keys, clock, entropy, offload, secret, signal, force });
  owner.changed({ ...owner.description, luks }, owner.size);
}

/** Keys are written in place: what a damaged image has there besides them would be overwritten. */
async function expectAlone(owner: ImageOwner): Promise<void> {
  const { encryption } = owner.description.extensions;
  assert(encryption !== undefined, "an encrypted image says where its keys are");
  const { offset, length } = encryption;
  using guard = await owner.state.lock({ who: "key slots" });
  const { writable, file, geometry } = guard.value;
  assert(writable !== undefined, "an image that is amended was opened for writing");
  const other = writable.map.findAny(offset, length, "LUKS header");
  if (other !== undefined) throw file.corrupt(`the LUKS header at offset ${hex(offset)} lies over the ${other}`, offset);
  const first = clusterOf(geometry, offset);
  for (let cluster = first; cluster < first + clustersFor(geometry, length); cluster++) {
    const count = await writable.refcounts.get(cluster);
    if (count === 1) continue;
    const place = cluster * geometry.clusterSize;
    throw file.corrupt(`the LUKS header has ${count} references at offset ${hex(place)}, not 1: check the image first`, place);
  }
}
