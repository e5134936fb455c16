/** How sectors are enciphered: the algorithm, its mode, and where initialization vectors come from, in the words of LUKS and of QEMU. */

import { BlockError } from "@coblock/core";
import { digestLength, hashNamed, type HashName } from "./hash-name.ts";

export type CipherMode = "xts" | "cbc" | "ecb" | "ctr";
export type IvGenerator = "plain" | "plain64" | "essiv";

/** AES in one of its modes. */
export interface CipherSpec {
  /** Of one AES key; XTS has two. */
  readonly keyBits: 128 | 192 | 256;
  readonly mode: CipherMode;
  readonly ivGenerator: IvGenerator;
  /** Makes the key that essiv enciphers sector numbers with. */
  readonly ivHash?: HashName;
}

/** What a LUKS header says of its cipher; names that are unknown here are kept. */
export interface CipherWords {
  /** `aes`. */
  readonly cipherName: string;
  /** `xts-plain64`, `cbc-essiv:sha256`. */
  readonly cipherMode: string;
  /** Bytes of the master key. */
  readonly keyLength: number;
}

/** The parts of a mode such as `cbc-essiv:sha256`. */
interface ModeWords {
  readonly mode: string;
  readonly ivGenerator: string;
  readonly ivHash: string | undefined;
}

/** Bytes of the master key. */
export function keyLengthOf({ keyBits, mode }: Pick<CipherSpec, "keyBits" | "mode">): number {
  return (keyBits / 8) * (mode === "xts" ? 2 : 1);
}

/** LUKS1 specification, "Cipher and hash specification registry". */
export function modeWordsOf(cipherMode: string): ModeWords {
  const [, mode = cipherMode, ivGenerator = "", ivHash] = /^([^-]*)-([^:]*)(?::(.*))?$/.exec(cipherMode) ?? [];
  return { mode, ivGenerator, ivHash };
}

/** The words of a header for a cipher. */
export function wordsOf(spec: CipherSpec): CipherWords {
  const hash = spec.ivGenerator === "essiv" ? `:${spec.ivHash ?? ""}` : "";
  return { cipherName: "aes", cipherMode: `${spec.mode}-${spec.ivGenerator}${hash}`, keyLength: keyLengthOf(spec) };
}

/** Throws UNSUPPORTED_FEATURE, with the name of what is unknown; CORRUPT_IMAGE for a key that cannot be the cipher's. */
export function cipherSpecOf({ cipherName, cipherMode, keyLength }: CipherWords): CipherSpec {
  if (cipherName !== "aes") throw unsupported(`cipher '${cipherName}'`);
  const words = modeWordsOf(cipherMode);
  const mode = (["xts", "cbc", "ecb", "ctr"] as const).find((known) => known === words.mode);
  const ivGenerator = (["plain", "plain64", "essiv"] as const).find((known) => known === words.ivGenerator);
  if (mode === undefined || ivGenerator === undefined) throw unsupported(`cipher mode '${cipherMode}'`);
  const bits = (keyLength * 8) / (mode === "xts" ? 2 : 1);
  const keyBits = ([128, 192, 256] as const).find((known) => known === bits);
  if (keyBits === undefined) throw new BlockError("CORRUPT_IMAGE", `${keyLength} bytes are no key for AES in mode '${cipherMode}'`);
  if (ivGenerator !== "essiv") return { keyBits, mode, ivGenerator };
  const ivHash = hashNamed(words.ivHash ?? "");
  if (ivHash === undefined || !isKeyLength(digestLength(ivHash))) throw unsupported(`cipher mode '${cipherMode}'`);
  return { keyBits, mode, ivGenerator, ivHash };
}

/** Whether AES has keys of so many bytes. */
function isKeyLength(length: number): boolean {
  return length === 16 || length === 24 || length === 32;
}

function unsupported(what: string): BlockError {
  return new BlockError("UNSUPPORTED_FEATURE", `${what} is not supported`);
}
