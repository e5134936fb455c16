/** Changes which passphrases open a LUKS header, slot by slot: at each moment, also after a power cut, some passphrase of before or after opens it. */

import { assert, BlockError, type Clock, type Entropy, type MaybePromise, type WaitOptions } from "@coblock/core";
import { type DerivationContext, iterationsFor } from "./key-derivation.ts";
import type { SlotChange } from "./luks-amend-options.ts";
import {
  decodeLuksHeader,
  encodeLuksSlot,
  LUKS_HEADER_LENGTH,
  type LuksHeader,
  type LuksSlot,
  materialLength,
  SALT_LENGTH,
  SLOT_STATE_LENGTH,
  slotOffset,
  STRIPES,
} from "./luks-header.ts";
import { keyAlgorithmsOf, keyInSlot, sealMasterKey } from "./luks-keys.ts";

/** The bytes that hold header and key material; offsets from the start of the header. */
export interface KeySlotArea {
  /** Bytes. */
  readonly length: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, bytes: Uint8Array): MaybePromise<void>;
  flush(): MaybePromise<void>;
}

/** What a change of slots works with. */
export interface SlotChangeContext extends DerivationContext, WaitOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly area: KeySlotArea;
  readonly masterKey: Uint8Array;
  /** Also what may make the disk unreadable for good. */
  readonly force: boolean;
  /** As `OpenContext.secret`. */
  secret(id: string): Uint8Array;
}

/**
 * On stable storage when it returns; answers the header as it is then. Throws, before anything is changed, INVALID_OPTION for what
 * qemu-img refuses too, and NOT_FOUND for an unknown secret. The signal is looked at before the first slot is changed.
 */
export async function changeSlots(change: SlotChange, context: SlotChangeContext): Promise<LuksHeader> {
  const header = decodeLuksHeader(await context.area.read(0, LUKS_HEADER_LENGTH), context.area.length);
  const changing = new SlotChanging(header, context);
  await (change.kind === "activate" ? changing.activate(change) : changing.erase(change));
  return changing.header;
}

class SlotChanging {
  readonly #before: LuksHeader;
  readonly #slots: LuksSlot[];
  readonly #context: SlotChangeContext;

  constructor(header: LuksHeader, context: SlotChangeContext) {
    this.#before = header;
    this.#slots = [...header.slots];
    this.#context = context;
  }

  get header(): LuksHeader {
    return { ...this.#before, slots: this.#slots };
  }

  async activate({ slot, newSecret, iterationTimeMs }: SlotChange & { readonly kind: "activate" }): Promise<void> {
    const { secret, signal, force } = this.#context;
    const free = this.#slots.findIndex(({ active }) => !active);
    const index = slot ?? free;
    if (index < 0) throw invalid("Can't add a keyslot - all keyslots are in use");
    const overwrites = this.#slot(index).active;
    if (overwrites && !force) throw invalid(`Refusing to overwrite active keyslot ${index} - please erase it first`);
    const passphrase = secret(newSecret);
    const { hash } = keyAlgorithmsOf(this.#before);
    const iterations = await iterationsFor(this.#context, hash, this.#before.keyLength, iterationTimeMs);
    signal?.throwIfAborted();
    const isOnlyOne = overwrites && this.#activeCount === 1;
    if (isOnlyOne) await this.#fill(free, passphrase, iterations);
    if (overwrites) await this.#clear(index);
    await this.#fill(index, passphrase, iterations);
    if (isOnlyOne) await this.#clear(free);
  }

  async erase(change: SlotChange & { readonly kind: "erase" }): Promise<void> {
    const old = change.oldSecret === undefined ? undefined : this.#context.secret(change.oldSecret);
    const erased = change.slot === undefined ? await this.#holding(old) : [await this.#erasable(change.slot, old)];
    this.#context.signal?.throwIfAborted();
    for (const index of erased) await this.#clear(index);
  }

  get #activeCount(): number {
    return this.#slots.filter(({ active }) => active).length;
  }

  async #erasable(index: number, old: Uint8Array | undefined): Promise<number> {
    const { force } = this.#context;
    if (old !== undefined && !(await this.#opens(index, old)))
      throw invalid(`Given keyslot ${index} doesn't contain the given old password for erase operation`);
    if (force) return index;
    // The blank at the end is qemu-img's.
    if (!this.#slot(index).active) throw invalid(`Given keyslot ${index} is already erased (inactive) `);
    if (this.#activeCount === 1)
      throw invalid(
        `Attempt to erase the only active keyslot ${index} which will erase all the data in the image irreversibly - refusing operation`,
      );
    return index;
  }

  async #holding(old: Uint8Array | undefined): Promise<readonly number[]> {
    assert(old !== undefined, "what is erased is told by its slot or by its secret");
    const found: number[] = [];
    for (const index of this.#slots.keys()) if (await this.#opens(index, old)) found.push(index);
    if (found.length === 0) throw invalid("No keyslots match given (old) password for erase operation");
    if (!this.#context.force && found.length === this.#activeCount)
      throw invalid(
        "All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation",
      );
    return found;
  }

  async #opens(index: number, passphrase: Uint8Array): Promise<boolean> {
    const { area, offload, signal } = this.#context;
    signal?.throwIfAborted();
    const readMaterial = (offset: number, length: number): Promise<Uint8Array> => area.read(offset, length);
    return (await keyInSlot(this.#before, this.#slot(index), passphrase, { offload, signal, readMaterial })) !== undefined;
  }

  /** A slot that is not in use counts only when all that it consists of is on disk. */
  async #fill(index: number, passphrase: Uint8Array, iterations: number): Promise<void> {
    const { area, entropy, masterKey } = this.#context;
    const { materialOffset } = this.#slot(index);
    const slot = { active: false, iterations, salt: entropy.bytes(SALT_LENGTH), materialOffset };
    const random = entropy.bytes(masterKey.length * (STRIPES - 1));
    const material = await sealMasterKey(slot, masterKey, keyAlgorithmsOf(this.#before), passphrase, random, this.#context);
    await area.write(slotOffset(index), encodeLuksSlot(slot));
    await area.write(materialOffset, material);
    await area.flush();
    const active = { ...slot, active: true };
    await area.write(slotOffset(index), encodeLuksSlot(active).subarray(0, SLOT_STATE_LENGTH));
    await area.flush();
    this.#slots[index] = active;
  }

  /** No slot is free before its key is gone from the disk. */
  async #clear(index: number): Promise<void> {
    const { area, entropy } = this.#context;
    const { materialOffset } = this.#slot(index);
    await area.write(materialOffset, entropy.bytes(materialLength(this.#before)));
    await area.flush();
    const slot = { active: false, iterations: 0, salt: new Uint8Array(SALT_LENGTH), materialOffset };
    await area.write(slotOffset(index), encodeLuksSlot(slot));
    await area.flush();
    this.#slots[index] = slot;
  }

  #slot(index: number): LuksSlot {
    const slot = this.#slots[index];
    assert(slot !== undefined, "there are eight slots");
    return slot;
  }
}

function invalid(message: string): BlockError {
  return new BlockError("INVALID_OPTION", message);
}
