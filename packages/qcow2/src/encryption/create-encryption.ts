/** The encryption of a new image: `encrypt.*` in qemu-img's spelling, and the LUKS header that comes of it. */

import { BlockError, type CreateContext, type CreateOption, type ImageCreation, type Transform } from "@coblock/core";
import {
  type CipherSpec,
  cipherSpecOf,
  createLuks,
  createSectorCipher,
  HASH_NAMES,
  type HashName,
  luksAreaLength,
  wordsOf,
} from "@coblock/crypto";
import { luksTransform } from "./guest-cipher.ts";

const ALGORITHMS = ["aes-128", "aes-192", "aes-256"] as const;
const MODES = ["ecb", "cbc", "xts", "ctr"] as const;
const IV_GENERATORS = ["plain", "plain64", "essiv"] as const;
/** Of QEMU, and not made here. */
const OTHER_ALGORITHMS = [
  "des",
  "3des",
  "cast5-128",
  "serpent-128",
  "serpent-192",
  "serpent-256",
  "twofish-128",
  "twofish-192",
  "twofish-256",
];
const ITERATION_TIME_MS = 2000;

export const ENCRYPTION_OPTIONS: readonly CreateOption[] = [
  { name: "encrypt.cipher-alg", type: "text", help: "Name of encryption cipher algorithm" },
  { name: "encrypt.cipher-mode", type: "text", help: "Name of encryption cipher mode" },
  { name: "encrypt.format", type: "text", help: "Encrypt the image, format choices: 'luks'" },
  { name: "encrypt.hash-alg", type: "text", help: "Name of encryption hash algorithm" },
  { name: "encrypt.iter-time", type: "number", help: "Time to spend in PBKDF in milliseconds" },
  { name: "encrypt.ivgen-alg", type: "text", help: "Name of IV generator algorithm" },
  { name: "encrypt.ivgen-hash-alg", type: "text", help: "Name of IV generator hash algorithm" },
  { name: "encrypt.key-secret", type: "text", help: "ID of secret providing the LUKS passphrase" },
];

/** Encryption that can be made. */
export interface EncryptionChoice {
  readonly spec: CipherSpec;
  /** Of key derivation. */
  readonly hash: HashName;
  readonly keySecret: string;
  /** Milliseconds. */
  readonly iterationTimeMs: number;
  /** Bytes of header and key slots. */
  readonly areaLength: number;
}

/** `undefined`: none. Throws INVALID_OPTION for what qemu-img refuses too, UNSUPPORTED_FEATURE for what this package cannot make. */
export function encryptionOf(values: ImageCreation["values"]): EncryptionChoice | undefined {
  const given = Object.keys(values).filter((name) => name.startsWith("encrypt.") && values[name] !== undefined);
  if (given.length === 0) return undefined;
  const format = values["encrypt.format"];
  if (format === undefined) throw invalid("Parameter 'encrypt.format' is missing");
  if (format === "aes")
    throw new BlockError("UNSUPPORTED_FEATURE", "images with the legacy encryption 'aes' are only read; use encrypt.format=luks");
  if (format !== "luks") throw invalid(`Parameter 'format' does not accept value '${String(format)}'`);
  const keySecret = values["encrypt.key-secret"];
  if (typeof keySecret !== "string") throw invalid("Parameter 'encrypt.key-secret' is required for cipher");
  const iterationTime = values["encrypt.iter-time"];
  const spec = specOf(values);
  return {
    spec,
    hash: choice(values, "hash-alg", HASH_NAMES, "sha256"),
    keySecret,
    iterationTimeMs: typeof iterationTime === "number" ? iterationTime : ITERATION_TIME_MS,
    areaLength: luksAreaLength(spec),
  };
}

function specOf(values: ImageCreation["values"]): CipherSpec {
  const asked = values["encrypt.cipher-alg"];
  if (OTHER_ALGORITHMS.some((name) => name === asked))
    throw new BlockError("UNSUPPORTED_FEATURE", `cipher '${String(asked)}' is not supported`);
  const algorithm = choice(values, "cipher-alg", ALGORITHMS, "aes-256");
  const keyBits = ({ "aes-128": 128, "aes-192": 192, "aes-256": 256 } as const)[algorithm];
  const mode = choice(values, "cipher-mode", MODES, "xts");
  const ivGenerator = choice(values, "ivgen-alg", IV_GENERATORS, "plain64");
  const ivHash = choice(values, "ivgen-hash-alg", HASH_NAMES, "sha256");
  return cipherSpecOf(wordsOf({ keyBits, mode, ivGenerator, ...(ivGenerator === "essiv" ? { ivHash } : {}) }));
}

function choice<Name extends string>(values: ImageCreation["values"], name: string, known: readonly Name[], fallback: Name): Name {
  const asked = values[`encrypt.${name}`];
  if (asked === undefined) return fallback;
  const found = known.find((candidate) => candidate === asked);
  if (found === undefined) throw invalid(`Parameter '${name}' does not accept value '${String(asked)}'`);
  return found;
}

/** Header and key slots of a new image, and what its data goes through. */
export interface NewEncryption {
  readonly area: Uint8Array;
  readonly transform: Transform;
}

/** Takes about as long as was chosen. Throws NOT_FOUND for an unknown secret. */
export async function makeEncryption(
  { spec, hash, keySecret, iterationTimeMs }: EncryptionChoice,
  context: CreateContext,
): Promise<NewEncryption> {
  const passphrase = context.secret(keySecret);
  const { area, masterKey } = await createLuks({ spec, hash, passphrase, iterationTimeMs }, context);
  return { area, transform: luksTransform(createSectorCipher(spec, masterKey)) };
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
