/** The encryption of a new image: `encrypt.*` in qemu-img's spelling, and the LUKS header that comes of it. */

import { BlockError, type CreateContext, type CreateOption, type ImageCreation, type Transform } from "@coblock/core";
import { luksChoiceOf, luksCreateOptions, type LuksChoice, makeLuks } from "@coblock/crypto";
import { luksTransform } from "./guest-cipher.ts";

const PREFIX = "encrypt.";

export const ENCRYPTION_OPTIONS: readonly CreateOption[] = [
  { name: "encryption", type: "flag", help: "Off: images with the legacy encryption 'aes' are only read" },
  { name: "encrypt.format", type: "text", help: "Encrypt the image, format choices: 'luks'" },
  { name: "encrypt.key-secret", type: "text", help: "ID of secret providing the LUKS passphrase" },
  ...luksCreateOptions(PREFIX),
];

/** `undefined`: none. Throws INVALID_OPTION for what qemu-img refuses too, UNSUPPORTED_FEATURE for what cannot be made. */
export function encryptionOf(values: ImageCreation["values"]): LuksChoice | undefined {
  const given = Object.keys(values).filter((name) => name.startsWith(PREFIX) && values[name] !== undefined);
  const format = values["encrypt.format"] ?? (values["encryption"] === true ? "aes" : undefined);
  if (given.length === 0 && format === undefined) return undefined;
  if (format === undefined) throw invalid("Parameter 'encrypt.format' is missing");
  if (format === "aes" && values["encrypt.key-secret"] === undefined)
    throw invalid("Parameter 'encrypt.key-secret' is required for cipher");
  if (format === "aes")
    throw new BlockError("UNSUPPORTED_FEATURE", "images with the legacy encryption 'aes' are only read; use encrypt.format=luks");
  if (format !== "luks") throw invalid(`Parameter 'format' does not accept value '${String(format)}'`);
  return luksChoiceOf(values, PREFIX);
}

/** Header and key slots of a new image, and what its data goes through. */
export interface NewEncryption {
  readonly area: Uint8Array;
  readonly transform: Transform;
}

/** Takes about as long as was chosen. Throws NOT_FOUND for an unknown secret. */
export async function makeEncryption(choice: LuksChoice, context: CreateContext): Promise<NewEncryption> {
  const { area, cipher } = await makeLuks(choice, context);
  return { area, transform: luksTransform(cipher) };
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
