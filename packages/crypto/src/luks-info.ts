/** What `info` tells of a LUKS header, in the words and the order of qemu-img. */

import { modeWordsOf } from "./cipher-spec.ts";
import { type LuksHeader, type LuksSlot, STRIPES } from "./luks-header.ts";

/** With `format`, where a format of its own holds it. */
export function describeLuks(header: LuksHeader, { embedded }: { readonly embedded: boolean }): Readonly<Record<string, unknown>> {
  const { cipherName, cipherMode, keyLength, hash, uuid, slots, payloadOffset, digestIterations } = header;
  const { mode, ivGenerator, ivHash } = modeWordsOf(cipherMode);
  const keyBits = (keyLength * 8) / (mode === "xts" ? 2 : 1);
  return {
    "ivgen-alg": ivGenerator,
    "hash-alg": hash,
    "cipher-alg": `${cipherName}-${keyBits}`,
    uuid,
    ...(ivHash === undefined ? {} : { "ivgen-hash-alg": ivHash }),
    ...(embedded ? { format: "luks" } : {}),
    "cipher-mode": mode,
    slots: slots.map(describeSlot),
    "payload-offset": payloadOffset,
    "master-key-iters": digestIterations,
  };
}

function describeSlot({ active, iterations, materialOffset }: LuksSlot): object {
  return active ? { active, iters: iterations, "key-offset": materialOffset, stripes: STRIPES } : { active, "key-offset": materialOffset };
}
