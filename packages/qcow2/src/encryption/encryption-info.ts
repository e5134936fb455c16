/** What `info` tells of an image's encryption, in the words and the order of qemu-img. */

import { describeLuks, type LuksHeader } from "@coblock/crypto";
import type { Header } from "../format/header.ts";

/** Empty where there is none. */
export function describeEncryption({ cryptMethod }: Header, luks: LuksHeader | undefined): { readonly encrypt?: object } {
  if (cryptMethod === 0) return {};
  if (cryptMethod === 1) return { encrypt: { format: "aes" } };
  return { encrypt: luks === undefined ? { format: "luks" } : describeLuks(luks, { embedded: true }) };
}
