/** Opens, makes and measures LUKS disks. */

import {
  BlockError,
  type BlockDriver,
  type BlockImage,
  type CreateContext,
  type CreateOption,
  type ImageCreation,
  type MeasuredContent,
  type Measurement,
  type OpenContext,
  type Preallocation,
} from "@coblock/core";
import { cipherSpecOf, createDiskCipher, luksAmendOptions, luksChoiceOf, luksCreateOptions, makeLuks, unlockLuks } from "@coblock/crypto";
import type { LuksOptions } from "./entry.ts";
import { type LuksArea, openArea } from "./luks-area.ts";
import { LuksImage, type UnlockedDisk } from "./luks-image.ts";

const CREATE_OPTIONS: readonly CreateOption[] = [
  { name: "key-secret", type: "text", help: "ID of the secret that provides the keyslot passphrase" },
  ...luksCreateOptions(""),
  {
    name: "preallocation",
    type: "choice",
    choices: ["off", "metadata", "falloc", "full"],
    help: "Preallocation mode (allowed values: off, metadata, falloc, full)",
    defaultValue: "off",
  },
];

export const driver: BlockDriver<"luks"> = Object.freeze({
  name: "luks",
  kind: "format",
  optionNames: ["file", "keySecret"],
  open,
  createOptions: CREATE_OPTIONS,
  create,
  amendOptions: luksAmendOptions(""),
  measure,
});

/** Throws INVALID_OPTION without a secret where more is wanted than a look at the image, NOT_ALLOWED for a passphrase that opens no slot. */
async function open({ file: described, keySecret }: LuksOptions, context: OpenContext): Promise<BlockImage> {
  const file = await context.child("file", "data and metadata", described);
  const area = await openArea(file, context);
  if (keySecret === undefined) {
    const locked = new BlockError("INVALID_OPTION", `${context.fileName}: Parameter 'key-secret' is required for cipher`, {
      node: context.nodeName,
    });
    if (!context.readOnly || context.forCheck) throw locked;
    return new LuksImage({ area, unlocked: locked, context });
  }
  return new LuksImage({ area, unlocked: await unlock(area, context.secret(keySecret), context), context });
}

async function unlock({ header, slots }: LuksArea, passphrase: Uint8Array, context: OpenContext): Promise<UnlockedDisk> {
  try {
    const { offload, signal } = context;
    const masterKey = await unlockLuks(header, passphrase, { offload, signal, readMaterial: slots.read });
    return { masterKey, cipher: await createDiskCipher(cipherSpecOf(header), masterKey) };
  } catch (error) {
    if (!(error instanceof BlockError) || error.node !== undefined) throw error;
    throw new BlockError(error.code, `${context.fileName}: ${error.message}`, { node: context.nodeName, cause: error.cause });
  }
}

/** What is not preallocated reads as anything until it is written, as with QEMU. */
async function create({ filename, size, values, backing }: ImageCreation, context: CreateContext): Promise<void> {
  if (backing !== undefined) throw new BlockError("UNSUPPORTED_FEATURE", "Backing file not supported for file format 'luks'");
  const choice = luksChoiceOf(values, "");
  const { area } = await makeLuks(choice, context);
  const file = await context.createFile(filename, 0);
  await file.write(0, area);
  const length = choice.areaLength + size;
  await file.resize(length, { preallocation: preallocationOf(values), shrink: false, signal: context.signal });
}

/** There is no metadata of which more could be made beforehand. */
function preallocationOf({ preallocation }: ImageCreation["values"]): Preallocation {
  return preallocation === "falloc" || preallocation === "full" ? preallocation : "off";
}

async function measure({ size, values }: MeasuredContent): Promise<Measurement> {
  const length = luksChoiceOf(values, "").areaLength + size;
  return { required: length, fullyAllocated: length };
}
