/** The master key of a LUKS header: found with a passphrase, and put into a key slot. LUKS1 specification, "Master key recovery". */

import { timingSafeEqual } from "node:crypto";
import { assert, BlockError, type WaitOptions } from "@coblock/core";
import { mergeKey, splitKey } from "./anti-forensic.ts";
import { type CipherSpec, cipherSpecOf } from "./cipher-spec.ts";
import { type HashName, hashNamed } from "./hash-name.ts";
import { type DerivationContext, deriveKey } from "./key-derivation.ts";
import { KEY_DIGEST_LENGTH, type LuksHeader, type LuksSlot, materialLength } from "./luks-header.ts";
import { createSectorCipher, SECTOR_LENGTH } from "./sector-cipher.ts";

/** What the key of a header is made with. */
export interface KeyAlgorithms {
  readonly spec: CipherSpec;
  readonly hash: HashName;
}

/** Throws UNSUPPORTED_FEATURE for a cipher or a hash that is not known here. */
export function keyAlgorithmsOf(header: LuksHeader): KeyAlgorithms {
  const spec = cipherSpecOf(header);
  const hash = hashNamed(header.hash);
  if (hash === undefined) throw new BlockError("UNSUPPORTED_FEATURE", `hash '${header.hash}' is not supported`);
  checkMaterial(spec, header.keyLength);
  return { spec, hash };
}

/** Split keys are whole sectors: those of 24 bytes are not, and no tool makes them. */
export function checkMaterial({ keyBits, mode }: CipherSpec, keyLength: number): void {
  if (materialLength({ keyLength }) % SECTOR_LENGTH !== 0)
    throw new BlockError(
      "UNSUPPORTED_FEATURE",
      `cipher 'aes-${keyBits}' in mode '${mode}' is not supported: its key does not fill key slots`,
    );
}

/** What unlocking works with. `readMaterial` reads bytes at an offset from the start of the header. */
export interface UnlockContext extends DerivationContext, WaitOptions {
  readMaterial(offset: number, length: number): Promise<Uint8Array>;
}

/**
 * The master key, from the first slot that the passphrase opens. Throws NOT_ALLOWED where there is none, UNSUPPORTED_FEATURE for unknown
 * algorithms. The signal is looked at between two slots.
 */
export async function unlockLuks(header: LuksHeader, passphrase: Uint8Array, context: UnlockContext): Promise<Uint8Array> {
  for (const slot of header.slots) {
    context.signal?.throwIfAborted();
    const masterKey = await keyInSlot(header, slot, passphrase, context);
    if (masterKey !== undefined) return masterKey;
  }
  throw new BlockError("NOT_ALLOWED", "Invalid password, cannot unlock any keyslot");
}

/** The master key, where the slot is in use and the passphrase opens it. Throws UNSUPPORTED_FEATURE for unknown algorithms. */
export async function keyInSlot(
  header: LuksHeader,
  slot: LuksSlot,
  passphrase: Uint8Array,
  context: UnlockContext,
): Promise<Uint8Array | undefined> {
  const algorithms = keyAlgorithmsOf(header);
  if (!slot.active) return undefined;
  const material = await context.readMaterial(slot.materialOffset, materialLength(header));
  const slotKey = await deriveSlotKey(slot, header.keyLength, algorithms, passphrase, context);
  createSectorCipher(algorithms.spec, slotKey).decrypt(0, material, material);
  const candidate = mergeKey(algorithms.hash, material, header.keyLength);
  const digest = await digestMasterKey(candidate, header, algorithms.hash, context);
  return timingSafeEqual(digest, header.keyDigest) ? candidate : undefined;
}

/** What the header keeps of the master key, to know it by. */
export function digestMasterKey(
  masterKey: Uint8Array,
  { digestSalt, digestIterations }: Pick<LuksHeader, "digestSalt" | "digestIterations">,
  hash: HashName,
  context: DerivationContext,
): Promise<Uint8Array> {
  return deriveKey(context, { hash, password: masterKey, salt: digestSalt, iterations: digestIterations, length: KEY_DIGEST_LENGTH });
}

/** The bytes that keep `masterKey` in the slot; `random` has those of all stripes but the last. */
export async function sealMasterKey(
  slot: LuksSlot,
  masterKey: Uint8Array,
  algorithms: KeyAlgorithms,
  passphrase: Uint8Array,
  random: Uint8Array,
  context: DerivationContext,
): Promise<Uint8Array> {
  const material = splitKey(algorithms.hash, masterKey, random);
  assert(material.length === materialLength({ keyLength: masterKey.length }), "all stripes are there");
  const slotKey = await deriveSlotKey(slot, masterKey.length, algorithms, passphrase, context);
  createSectorCipher(algorithms.spec, slotKey).encrypt(0, material, material);
  return material;
}

function deriveSlotKey(
  { salt, iterations }: LuksSlot,
  length: number,
  { hash }: KeyAlgorithms,
  password: Uint8Array,
  context: DerivationContext,
): Promise<Uint8Array> {
  return deriveKey(context, { hash, password, salt, iterations, length });
}
