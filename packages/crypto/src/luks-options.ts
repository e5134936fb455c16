/** The options of new LUKS headers in qemu-img's spelling: alone, or with the prefix `encrypt.` where a format holds them. */

import { BlockError, type CreateContext, type CreateOption, type ImageCreation } from "@coblock/core";
import { type CipherSpec, cipherSpecOf, wordsOf } from "./cipher-spec.ts";
import { HASH_NAMES, type HashName } from "./hash-name.ts";
import { createLuks, luksAreaLength } from "./new-luks.ts";
import { createSectorCipher, type SectorCipher } from "./sector-cipher.ts";

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
/** Milliseconds that one try of a passphrase takes, where nothing else is said. */
export const ITERATION_TIME_MS = 2000;

/** What stands before the names of options. */
export type OptionPrefix = "" | "encrypt.";

/** How long one try of a passphrase shall take. */
export function iterationTimeOption(prefix: OptionPrefix): CreateOption {
  return { name: `${prefix}iter-time`, type: "number", help: "Time to spend in PBKDF in milliseconds" };
}

/** All but the one that names the secret, whose help is the format's own. */
export function luksCreateOptions(prefix: OptionPrefix): readonly CreateOption[] {
  return [
    { name: `${prefix}cipher-alg`, type: "text", help: "Name of encryption cipher algorithm" },
    { name: `${prefix}cipher-mode`, type: "text", help: "Name of encryption cipher mode" },
    { name: `${prefix}hash-alg`, type: "text", help: "Name of encryption hash algorithm" },
    iterationTimeOption(prefix),
    { name: `${prefix}ivgen-alg`, type: "text", help: "Name of IV generator algorithm" },
    { name: `${prefix}ivgen-hash-alg`, type: "text", help: "Name of IV generator hash algorithm" },
  ];
}

/** A header that can be made. */
export interface LuksChoice {
  readonly spec: CipherSpec;
  /** Of key derivation. */
  readonly hash: HashName;
  /** ID of the secret that holds the passphrase. */
  readonly keySecret: string;
  /** Milliseconds. */
  readonly iterationTimeMs: number;
  /** Bytes of header and key slots. */
  readonly areaLength: number;
}

/** Throws INVALID_OPTION for what qemu-img refuses too, UNSUPPORTED_FEATURE for what this package cannot make. */
export function luksChoiceOf(values: ImageCreation["values"], prefix: OptionPrefix): LuksChoice {
  const keySecret = values[`${prefix}key-secret`];
  if (typeof keySecret !== "string") throw invalid(`Parameter '${prefix}key-secret' is required for cipher`);
  const iterationTime = values[`${prefix}iter-time`];
  const choice: Choice = (name, known, fallback) => {
    const asked = values[prefix + name];
    if (asked === undefined) return fallback;
    const found = known.find((candidate) => candidate === asked);
    if (found === undefined) throw invalid(`Parameter '${name}' does not accept value '${String(asked)}'`);
    return found;
  };
  const spec = specOf(values[`${prefix}cipher-alg`], choice);
  return {
    spec,
    hash: choice("hash-alg", HASH_NAMES, "sha256"),
    keySecret,
    iterationTimeMs: typeof iterationTime === "number" ? iterationTime : ITERATION_TIME_MS,
    areaLength: luksAreaLength(spec),
  };
}

/** The value of an option that takes one of `known`. */
type Choice = <Name extends string>(name: string, known: readonly Name[], fallback: Name) => Name;

function specOf(algorithmAsked: unknown, choice: Choice): CipherSpec {
  if (OTHER_ALGORITHMS.some((name) => name === algorithmAsked))
    throw new BlockError("UNSUPPORTED_FEATURE", `cipher '${String(algorithmAsked)}' is not supported`);
  const algorithm = choice("cipher-alg", ALGORITHMS, "aes-256");
  const keyBits = ({ "aes-128": 128, "aes-192": 192, "aes-256": 256 } as const)[algorithm];
  const mode = choice("cipher-mode", MODES, "xts");
  const ivGenerator = choice("ivgen-alg", IV_GENERATORS, "plain64");
  const ivHash = choice("ivgen-hash-alg", HASH_NAMES, "sha256");
  return cipherSpecOf(wordsOf({ keyBits, mode, ivGenerator, ...(ivGenerator === "essiv" ? { ivHash } : {}) }));
}

/** All bytes up to the payload, and the cipher of what follows. Takes about as long as was chosen. Throws NOT_FOUND for an unknown secret. */
export async function makeLuks(
  { spec, hash, keySecret, iterationTimeMs }: LuksChoice,
  context: CreateContext,
): Promise<{ readonly area: Uint8Array; readonly cipher: SectorCipher }> {
  const passphrase = context.secret(keySecret);
  const { area, masterKey } = await createLuks({ spec, hash, passphrase, iterationTimeMs }, context);
  return { area, cipher: createSectorCipher(spec, masterKey) };
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
