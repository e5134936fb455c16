/** The header of LUKS version 1: bytes to values and back, and which values are accepted. LUKS1 specification, "PHDR". */

import { BlockError, hex } from "@coblock/core";

/** Bytes of the header itself; key material and payload come behind it. */
export const LUKS_HEADER_LENGTH = 592;
export const SLOT_COUNT = 8;
/** Pieces that a key is spread over; QEMU accepts no other number. */
export const STRIPES = 4000;
/** Bytes of the digest that a master key is known by. */
export const KEY_DIGEST_LENGTH = 20;
export const SALT_LENGTH = 32;
/** Bytes that say whether a slot is in use: never more than one sector is written to change them. */
export const SLOT_STATE_LENGTH = 4;
/** Where the material of the first slot may begin, and what that of each is aligned to; bytes. */
export const MATERIAL_ALIGNMENT = 4096;

const MAGIC = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe] as const;
const SECTOR = 512;
const SLOTS_AT = 208;
const SLOT_LENGTH = 48;
const ACTIVE = 0x00ac71f3;
const INACTIVE = 0x0000dead;
const NAME_LENGTH = 32;
const UUID_LENGTH = 40;
/** Of the largest cipher that LUKS1 names, in XTS mode. */
const MAX_KEY_LENGTH = 64;
/** Rounds of one derivation: some minutes of a fast processor, and no more. */
const MAX_ITERATIONS = 2 ** 29;

/** One key slot of the header: active or not, and where its key material lies. */
export interface LuksSlot {
  readonly active: boolean;
  /** Rounds; 0 where the slot is not in use. */
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Bytes from the start of the header. */
  readonly materialOffset: number;
}

/** Offsets and lengths are bytes. */
export interface LuksHeader {
  readonly cipherName: string;
  readonly cipherMode: string;
  readonly hash: string;
  /** Where the enciphered disk begins, and key material ends. */
  readonly payloadOffset: number;
  /** Of the master key. */
  readonly keyLength: number;
  readonly keyDigest: Uint8Array;
  readonly digestSalt: Uint8Array;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly slots: readonly LuksSlot[];
}

/** Bytes of the material of one slot: the split key. */
export function materialLength({ keyLength }: Pick<LuksHeader, "keyLength">): number {
  return keyLength * STRIPES;
}

/** Reads and checks a header: nothing in it leads out of the `areaLength` bytes that it begins, or costs more than it may. */
export function decodeLuksHeader(bytes: Uint8Array, areaLength: number): LuksHeader {
  if (bytes.length < LUKS_HEADER_LENGTH || areaLength < LUKS_HEADER_LENGTH)
    throw corrupt(`${Math.min(bytes.length, areaLength)} bytes are too short for a LUKS header of ${LUKS_HEADER_LENGTH}`, 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) throw corrupt("the LUKS header does not start with the magic of LUKS", 0);
  const version = view.getUint16(6);
  if (version === 2)
    throw new BlockError("UNSUPPORTED_FEATURE", "LUKS version 2, which derives keys with argon2, is not supported", { offset: 6 });
  if (version !== 1) throw new BlockError("UNSUPPORTED_FEATURE", `LUKS version ${version} is not supported`, { offset: 6 });
  const header: LuksHeader = {
    cipherName: textAt(bytes, 8, NAME_LENGTH, "cipher name"),
    cipherMode: textAt(bytes, 40, NAME_LENGTH, "cipher mode"),
    hash: textAt(bytes, 72, NAME_LENGTH, "hash name"),
    payloadOffset: view.getUint32(104) * SECTOR,
    keyLength: view.getUint32(108),
    keyDigest: bytes.slice(112, 112 + KEY_DIGEST_LENGTH),
    digestSalt: bytes.slice(132, 132 + SALT_LENGTH),
    digestIterations: view.getUint32(164),
    uuid: textAt(bytes, 168, UUID_LENGTH, "UUID"),
    slots: Array.from({ length: SLOT_COUNT }, (_, index) => slotAt(bytes, view, index)),
  };
  checkHeader(header, areaLength);
  return header;
}

function slotAt(bytes: Uint8Array, view: DataView, index: number): LuksSlot {
  const at = slotOffset(index);
  const state = view.getUint32(at);
  if (state !== ACTIVE && state !== INACTIVE)
    throw corrupt(`LUKS key slot ${index} has state ${hex(state)}, which is neither on nor off`, at);
  const stripes = view.getUint32(at + 44);
  if (stripes !== STRIPES) throw corrupt(`LUKS key slot ${index} has ${stripes} stripes, not ${STRIPES}`, at + 44);
  return {
    active: state === ACTIVE,
    iterations: view.getUint32(at + 4),
    salt: bytes.slice(at + 8, at + 8 + SALT_LENGTH),
    materialOffset: view.getUint32(at + 40) * SECTOR,
  };
}

function checkHeader(header: LuksHeader, areaLength: number): void {
  const { keyLength, payloadOffset, digestIterations, slots } = header;
  if (keyLength === 0 || keyLength > MAX_KEY_LENGTH)
    throw corrupt(`the LUKS master key has ${keyLength} bytes, not 1 to ${MAX_KEY_LENGTH}`, 108);
  if (payloadOffset < MATERIAL_ALIGNMENT)
    throw corrupt(`the LUKS payload at offset ${hex(payloadOffset)} overlaps the header, which takes ${MATERIAL_ALIGNMENT} bytes`, 104);
  if (payloadOffset > areaLength)
    throw corrupt(`LUKS key material goes up to offset ${hex(payloadOffset)}, past the end of its area of ${areaLength} bytes`, 104);
  checkIterations("the LUKS master key digest", digestIterations, 164);
  const length = materialLength(header);
  for (const [index, { active, iterations, materialOffset }] of slots.entries()) {
    const at = slotOffset(index);
    if (active) checkIterations(`LUKS key slot ${index}`, iterations, at + 4);
    if (materialOffset < MATERIAL_ALIGNMENT)
      throw corrupt(`the material of LUKS key slot ${index} at offset ${hex(materialOffset)} overlaps the header`, at + 40);
    if (materialOffset + length > payloadOffset)
      throw corrupt(`the material of LUKS key slot ${index} at offset ${hex(materialOffset)} overlaps the payload`, at + 40);
    const other = slots.findIndex((slot, before) => before < index && Math.abs(slot.materialOffset - materialOffset) < length);
    if (other >= 0) throw corrupt(`the material of LUKS key slots ${other} and ${index} overlaps`, at + 40);
  }
}

function checkIterations(what: string, iterations: number, offset: number): void {
  if (iterations === 0) throw corrupt(`${what} is derived in 0 rounds`, offset);
  if (iterations > MAX_ITERATIONS)
    throw new BlockError("UNSUPPORTED_FEATURE", `${what} is derived in ${iterations} rounds, more than ${MAX_ITERATIONS}`, { offset });
}

function textAt(bytes: Uint8Array, offset: number, length: number, what: string): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  if (end < 0) throw corrupt(`the ${what} in the LUKS header does not end`, offset);
  return new TextDecoder("latin1").decode(field.subarray(0, end));
}

/** `LUKS_HEADER_LENGTH` bytes. */
export function encodeLuksHeader(header: LuksHeader): Uint8Array {
  const bytes = new Uint8Array(LUKS_HEADER_LENGTH);
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder();
  bytes.set(MAGIC);
  view.setUint16(6, 1);
  bytes.set(text.encode(header.cipherName), 8);
  bytes.set(text.encode(header.cipherMode), 40);
  bytes.set(text.encode(header.hash), 72);
  view.setUint32(104, header.payloadOffset / SECTOR);
  view.setUint32(108, header.keyLength);
  bytes.set(header.keyDigest, 112);
  bytes.set(header.digestSalt, 132);
  view.setUint32(164, header.digestIterations);
  bytes.set(text.encode(header.uuid), 168);
  for (const [index, slot] of header.slots.entries()) bytes.set(encodeLuksSlot(slot), slotOffset(index));
  return bytes;
}

/** Where the record of a slot lies in the header; it begins with the state, `SLOT_STATE_LENGTH` bytes. */
export function slotOffset(index: number): number {
  return SLOTS_AT + index * SLOT_LENGTH;
}

/** The record of a slot. */
export function encodeLuksSlot({ active, iterations, salt, materialOffset }: LuksSlot): Uint8Array {
  const bytes = new Uint8Array(SLOT_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, active ? ACTIVE : INACTIVE);
  view.setUint32(4, iterations);
  bytes.set(salt, 8);
  view.setUint32(40, materialOffset / SECTOR);
  view.setUint32(44, STRIPES);
  return bytes;
}

function corrupt(message: string, offset: number): BlockError {
  return new BlockError("CORRUPT_IMAGE", message, { offset });
}
