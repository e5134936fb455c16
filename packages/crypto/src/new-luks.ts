/** Makes LUKS headers: a fresh master key, kept in the first slot. */

import { alignUp, assert, type Clock, type Entropy } from "@coblock/core";
import { type CipherSpec, keyLengthOf, wordsOf } from "./cipher-spec.ts";
import type { HashName } from "./hash-name.ts";
import { type DerivationContext, iterationsFor } from "./key-derivation.ts";
import {
  encodeLuksHeader,
  KEY_DIGEST_LENGTH,
  type LuksHeader,
  MATERIAL_ALIGNMENT,
  materialLength,
  SALT_LENGTH,
  SLOT_COUNT,
  STRIPES,
} from "./luks-header.ts";
import { checkMaterial, digestMasterKey, sealMasterKey } from "./luks-keys.ts";

/** The share of the time that goes into knowing the master key again, as with QEMU. */
const DIGEST_SHARE = 1 / 8;

/** What a new LUKS header is made of. */
export interface NewLuks {
  readonly spec: CipherSpec;
  /** Of key derivation and of the anti-forensic splitter. */
  readonly hash: HashName;
  readonly passphrase: Uint8Array;
  /** Milliseconds that one try of a passphrase shall take on this machine. */
  readonly iterationTimeMs: number;
}

export interface NewLuksContext extends DerivationContext {
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** Bytes up to the payload: header and key slots. */
export function luksAreaLength(spec: CipherSpec): number {
  return MATERIAL_ALIGNMENT + SLOT_COUNT * slotStride(spec);
}

/** All bytes up to the payload, and the master key. Throws UNSUPPORTED_FEATURE for a key that cannot be kept, INVALID_OPTION for too long a time. */
export async function createLuks(
  { spec, hash, passphrase, iterationTimeMs }: NewLuks,
  context: NewLuksContext,
): Promise<{ readonly area: Uint8Array; readonly masterKey: Uint8Array }> {
  const { entropy } = context;
  const keyLength = keyLengthOf(spec);
  checkMaterial(spec, keyLength);
  const masterKey = entropy.bytes(keyLength);
  const digestTimeMs = iterationTimeMs * DIGEST_SHARE;
  const digestIterations = await iterationsFor(context, hash, KEY_DIGEST_LENGTH, digestTimeMs);
  const iterations = await iterationsFor(context, hash, keyLength, iterationTimeMs);
  const digestSalt = entropy.bytes(SALT_LENGTH);
  const slots = Array.from({ length: SLOT_COUNT }, (_, index) => ({
    active: index === 0,
    iterations: index === 0 ? iterations : 0,
    salt: index === 0 ? entropy.bytes(SALT_LENGTH) : new Uint8Array(SALT_LENGTH),
    materialOffset: MATERIAL_ALIGNMENT + index * slotStride(spec),
  }));
  const header: LuksHeader = {
    ...wordsOf(spec),
    hash,
    payloadOffset: luksAreaLength(spec),
    digestSalt,
    digestIterations,
    keyDigest: await digestMasterKey(masterKey, { digestSalt, digestIterations }, hash, context),
    uuid: uuidOf(entropy.bytes(16)),
    slots,
  };
  const [first] = slots;
  assert(first !== undefined, "a header has slots");
  const random = entropy.bytes(keyLength * (STRIPES - 1));
  const material = await sealMasterKey(first, masterKey, { spec, hash }, passphrase, random, context);
  const area = new Uint8Array(header.payloadOffset);
  area.set(encodeLuksHeader(header));
  area.set(material, first.materialOffset);
  return { area, masterKey };
}

function slotStride(spec: CipherSpec): number {
  return alignUp(materialLength({ keyLength: keyLengthOf(spec) }), MATERIAL_ALIGNMENT);
}

/** A random UUID, RFC 4122 version 4, in its text form. */
function uuidOf(random: Uint8Array): string {
  const bytes = random.map((byte, index) => (index === 6 ? (byte % 16) + 0x40 : index === 8 ? (byte % 64) + 0x80 : byte));
  const digits = Buffer.from(bytes).toString("hex");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join("-");
}
