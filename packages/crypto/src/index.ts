/** Disk encryption for image formats: no I/O of its own. */

export { type CipherMode, type CipherSpec, cipherSpecOf, type IvGenerator, modeWordsOf, wordsOf } from "./cipher-spec.ts";
export { HASH_NAMES, type HashName } from "./hash-name.ts";
export { legacyAesCipher } from "./legacy-aes.ts";
export { decodeLuksHeader, LUKS_HEADER_LENGTH, type LuksHeader, type LuksSlot, STRIPES } from "./luks-header.ts";
export { describeLuks } from "./luks-info.ts";
export { unlockLuks, type UnlockContext } from "./luks-keys.ts";
export { luksAmendOptions, type SlotChange, slotChangeOf } from "./luks-amend-options.ts";
export { type LuksChoice, luksChoiceOf, luksCreateOptions, makeLuks } from "./luks-options.ts";
export { changeSlots, type KeySlotArea } from "./slot-change.ts";
export { createDiskCipher, SECTOR_LENGTH, type SectorCipher } from "./sector-cipher.ts";
