/** Finds the key of an encrypted image with the secret that its options name. qcow2 spec, "Full disk encryption header pointer". */

import { type BlockChild, BlockError, type OpenContext, type Transform } from "@coblock/core";
import {
  cipherSpecOf,
  createDiskCipher,
  decodeLuksHeader,
  type KeySlotArea,
  legacyAesCipher,
  LUKS_HEADER_LENGTH,
  type LuksHeader,
  unlockLuks,
} from "@coblock/crypto";
import type { ImageHeader } from "../image/read-header.ts";
import type { EncryptOptions } from "../options.ts";
import { legacyTransform, luksTransform } from "./guest-cipher.ts";

const NONE = 0;
/** Method in the header of images that are only read. */
export const LEGACY_AES = 1;

/** What became of an image's encryption when it was opened. */
export interface OpenedEncryption {
  /** `undefined` where the image has none, or is only to be checked. */
  readonly luks: LuksHeader | undefined;
  /** `undefined`: the guest's bytes are in the file as they are, or cannot be told. */
  readonly transform: Transform | undefined;
  /** Why the guest's bytes cannot be told. */
  readonly locked: BlockError | undefined;
  /** What key slots are changed with, where the passphrase opened one. */
  readonly keys: Keys | undefined;
}

/** The key of an image, and where it is kept. */
export interface Keys {
  readonly area: KeySlotArea;
  readonly masterKey: Uint8Array;
}

const CLOSED = { luks: undefined, transform: undefined, locked: undefined, keys: undefined } as const;

/**
 * Without a secret a read-only image still tells of itself; one that is to be written is refused. Throws INVALID_OPTION, NOT_FOUND for an
 * unknown secret, NOT_ALLOWED for a passphrase that opens no key slot, CORRUPT_IMAGE and UNSUPPORTED_FEATURE for key slots that cannot be used.
 */
export async function openEncryption(
  file: BlockChild,
  image: ImageHeader,
  options: EncryptOptions | undefined,
  context: OpenContext,
): Promise<OpenedEncryption> {
  const { cryptMethod } = image.header;
  checkFormat(cryptMethod, options, context);
  if (cryptMethod === NONE) return CLOSED;
  const secretId = options?.keySecret;
  if (secretId === undefined) {
    const locked = failure("Parameter 'encrypt.key-secret' is required for cipher", context);
    if (!context.readOnly && !context.forCheck) throw locked;
    const shownLuks = cryptMethod === LEGACY_AES || context.forCheck ? undefined : (await openLuks(file, image, context)).header;
    return { ...CLOSED, luks: shownLuks, locked };
  }
  const secret = context.secret(secretId);
  if (cryptMethod === LEGACY_AES) return { ...CLOSED, transform: legacyTransform(legacyAesCipher(secret)) };
  const { header, area } = await openLuks(file, image, context);
  try {
    const masterKey = await unlockLuks(header, secret, { offload: context.offload, signal: context.signal, readMaterial: area.read });
    const transform = luksTransform(await createDiskCipher(cipherSpecOf(header), masterKey));
    return { luks: header, transform, locked: undefined, keys: { area, masterKey } };
  } catch (error) {
    throw inFile(error, context);
  }
}

function checkFormat(cryptMethod: number, options: EncryptOptions | undefined, context: OpenContext): void {
  const asked = options?.format;
  const found = cryptMethod === LEGACY_AES ? "aes" : "luks";
  if (asked === undefined || (cryptMethod !== NONE && asked === found)) return;
  throw failure(
    cryptMethod === NONE
      ? `No encryption in image header, but options specified format '${asked}'`
      : `Header reported '${found}' encryption format but options specify '${asked}'`,
    context,
  );
}

interface OpenedLuks {
  readonly header: LuksHeader;
  readonly area: KeySlotArea;
}

async function openLuks(file: BlockChild, { extensions }: ImageHeader, context: OpenContext): Promise<OpenedLuks> {
  const { offset, length } = extensions.encryption ?? { offset: 0, length: 0 };
  const area: KeySlotArea = {
    length: Math.max(0, Math.min(length, file.size - offset)),
    read: async (from, count) => {
      const bytes = new Uint8Array(count);
      if (count > 0) await file.read(offset + from, bytes);
      return bytes;
    },
    write: (to, bytes) => file.write(offset + to, bytes),
    flush: () => file.flush(),
  };
  const head = await area.read(0, Math.min(area.length, LUKS_HEADER_LENGTH));
  try {
    return { header: decodeLuksHeader(head, area.length), area };
  } catch (error) {
    throw inFile(error, context, offset);
  }
}

function failure(message: string, context: OpenContext): BlockError {
  return new BlockError("INVALID_OPTION", `${context.fileName}: ${message}`, { node: context.nodeName });
}

/** The pure parts know neither the file nor where in it they are. */
function inFile(error: unknown, context: OpenContext, start?: number): unknown {
  if (!(error instanceof BlockError) || error.node !== undefined) return error;
  const offset = start === undefined || error.offset === undefined ? {} : { offset: start + error.offset };
  return new BlockError(error.code, `${context.fileName}: ${error.message}`, { node: context.nodeName, cause: error.cause, ...offset });
}
