/** The options that change key slots of a LUKS header, in qemu-img's spelling: alone, or with the prefix `encrypt.` where a format holds them. */

import { BlockError, type CreateOption, type CreateValue } from "@coblock/core";
import { SLOT_COUNT } from "./luks-header.ts";
import { ITERATION_TIME_MS, iterationTimeOption, type OptionPrefix } from "./luks-options.ts";

/** What key slots are changed with. */
export function luksAmendOptions(prefix: OptionPrefix): readonly CreateOption[] {
  return [
    iterationTimeOption(prefix),
    { name: `${prefix}keyslot`, type: "number", help: "Select a single keyslot to modify explicitly" },
    { name: `${prefix}new-secret`, type: "text", help: "New secret to set in the matching keyslots. Empty string to erase" },
    { name: `${prefix}old-secret`, type: "text", help: "Select all keyslots that match this password" },
    { name: `${prefix}state`, type: "text", help: "Select new state of affected keyslots (active/inactive)" },
  ];
}

/** What shall become of key slots; secrets by their IDs. */
export type SlotChange =
  /** `slot` absent: the first that is free. `iterationTimeMs`: how long one try of the new passphrase takes. */
  | { readonly kind: "activate"; readonly slot: number | undefined; readonly newSecret: string; readonly iterationTimeMs: number }
  /** One slot, which must hold the old secret where there is one; `slot` absent: all that hold it. */
  | { readonly kind: "erase"; readonly slot: number; readonly oldSecret: string | undefined }
  | { readonly kind: "erase"; readonly slot: undefined; readonly oldSecret: string };

/** Throws INVALID_OPTION for what qemu-img refuses too, in its words. */
export function slotChangeOf(values: Readonly<Record<string, CreateValue>>, prefix: OptionPrefix): SlotChange {
  const state = values[`${prefix}state`];
  const [newSecret, oldSecret] = [textOf(values[`${prefix}new-secret`]), textOf(values[`${prefix}old-secret`])];
  const [slot, iterationTimeMs] = [numberOf(values[`${prefix}keyslot`]), numberOf(values[`${prefix}iter-time`])];
  if (state === undefined) throw invalid("Parameter 'state' is missing");
  if (state === "active") {
    if (newSecret === undefined) throw invalid("'new-secret' is required to activate a keyslot");
    if (oldSecret !== undefined) throw invalid("'old-secret' must not be given when activating keyslots");
    checkSlot(slot);
    return { kind: "activate", slot, newSecret, iterationTimeMs: iterationTimeMs ?? ITERATION_TIME_MS };
  }
  if (state !== "inactive") throw invalid(`Parameter 'state' does not accept value '${String(state)}'`);
  if (newSecret !== undefined) throw invalid("'new-secret' must not be given when erasing keyslots");
  if (iterationTimeMs !== undefined) throw invalid("'iter-time' must not be given when erasing keyslots");
  checkSlot(slot);
  if (slot !== undefined) return { kind: "erase", slot, oldSecret };
  if (oldSecret !== undefined) return { kind: "erase", slot, oldSecret };
  throw invalid("To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given");
}

function checkSlot(slot: number | undefined): void {
  if (slot === undefined || (Number.isInteger(slot) && slot >= 0 && slot < SLOT_COUNT)) return;
  throw invalid(`Invalid keyslot ${slot} specified, must be between 0 and ${SLOT_COUNT - 1}`);
}

function textOf(value: CreateValue | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function numberOf(value: CreateValue | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
