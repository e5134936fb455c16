/** What `info` tells of an image's encryption, in the words and the order of qemu-img. */

import { type LuksHeader, type LuksSlot, modeWordsOf, STRIPES } from "@coblock/crypto";
import type { Header } from "../format/header.ts";

/** Empty where there is none. */
export function describeEncryption({ cryptMethod }: Header, luks: LuksHeader | undefined): { readonly encrypt?: object } {
  if (cryptMethod === 0) return {};
  if (cryptMethod === 1) return { encrypt: { format: "aes" } };
  return { encrypt: luks === undefined ? { format: "luks" } : describeLuks(luks) };
}

function describeLuks({ cipherName, cipherMode, keyLength, hash, uuid, slots, payloadOffset, digestIterations }: LuksHeader): object {
  const { mode, ivGenerator, ivHash } = modeWordsOf(cipherMode);
  const keyBits = (keyLength * 8) / (mode === "xts" ? 2 : 1);
  return {
    "ivgen-alg": ivGenerator,
    "hash-alg": hash,
    "cipher-alg": `${cipherName}-${keyBits}`,
    uuid,
    ...(ivHash === undefined ? {} : { "ivgen-hash-alg": ivHash }),
    format: "luks",
    "cipher-mode": mode,
    slots: slots.map(describeSlot),
    "payload-offset": payloadOffset,
    "master-key-iters": digestIterations,
  };
}

function describeSlot({ active, iterations, materialOffset }: LuksSlot): object {
  return active ? { active, iters: iterations, "key-offset": materialOffset, stripes: STRIPES } : { active, "key-offset": materialOffset };
}
