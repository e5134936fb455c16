/** Other passphrases for an encrypted image: `encrypt.*` of amend. */

import { assert, type AmendOptions } from "@coblock/core";
import { changeSlots, type SlotChange } from "@coblock/crypto";
import type { ImageOwner } from "../image/image-owner.ts";
import type { Keys } from "./open-encryption.ts";

/** In exclusive mode; on stable storage when it returns. Throws as `changeSlots` does. */
export async function changeKeys(
  owner: ImageOwner,
  keys: Keys | undefined,
  change: SlotChange,
  { signal, force = false }: AmendOptions,
): Promise<void> {
  assert(keys !== undefined, "an encrypted image that is amended was opened with its key");
  const { clock, entropy, offload } = owner.context;
  const secret = (id: string): Uint8Array => owner.context.secret(id);
  const luks = await changeSlots(change, { ...keys, clock, entropy, offload, secret, signal, force });
  owner.changed({ ...owner.description, luks }, owner.size);
}
