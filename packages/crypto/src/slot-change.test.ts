import { BlockError, InlineOffload, SimulatedClock } from "@coblock/core";
import { beforeAll, describe, expect, it } from "vitest";
import { decodeLuksHeader, encodeLuksHeader, type LuksHeader, LUKS_HEADER_LENGTH } from "./luks-header.ts";
import { unlockLuks } from "./luks-keys.ts";
import type { SlotChange } from "./luks-amend-options.ts";
import { createLuks } from "./new-luks.ts";
import { changeSlots, type KeySlotArea } from "./slot-change.ts";

const SECTOR = 512;
const SECRETS: Readonly<Record<string, string>> = { one: "open sesame", two: "second", three: "third", wrong: "nobody's" };
const offload = new InlineOffload();
const passphrase = (id: string): Uint8Array => new TextEncoder().encode(SECRETS[id] ?? "");

/** Not the same twice. */
function counted(seed: number): { bytes(length: number): Uint8Array } {
  let next = seed;
  return { bytes: (length) => Uint8Array.from({ length }, () => (next = (next * 1_103_515_245 + 12_345) % 2 ** 31) / 65_536) };
}

type Step = { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array } | { readonly kind: "flush" };

/** Header and slots in memory, with a log of what was done to them. */
class RecordedArea implements KeySlotArea {
  readonly bytes: Uint8Array;
  readonly steps: Step[] = [];
  /** Steps that succeed until one fails; then this share of its sectors is written all the same. */
  stepsUntilFailure = Number.POSITIVE_INFINITY;
  shareOfFailing = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes.slice();
  }

  get length(): number {
    return this.bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.bytes.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    const fails = this.stepsUntilFailure-- === 0;
    const written = Math.floor((offset + bytes.length * this.shareOfFailing) / SECTOR) * SECTOR - offset;
    this.bytes.set(fails && this.shareOfFailing < 1 ? bytes.subarray(0, Math.max(0, written)) : bytes, offset);
    if (fails) throw new BlockError("IO", "this write was to fail");
    this.steps.push({ kind: "write", offset, bytes: bytes.slice() });
  }

  flush(): void {
    if (this.stepsUntilFailure-- === 0) throw new BlockError("IO", "this flush was to fail");
    this.steps.push({ kind: "flush" });
  }

  get header(): LuksHeader {
    return decodeLuksHeader(this.bytes, this.length);
  }
}

/** What a cut after `count` steps may leave: all before the last flush, and of what came after it the sectors that `survives` says. */
function cut(before: Uint8Array, steps: readonly Step[], count: number, survives: () => boolean): Uint8Array {
  const done = steps.slice(0, count);
  const flushed = done.findLastIndex(({ kind }) => kind === "flush");
  const bytes = before.slice();
  for (const [index, step] of done.entries()) {
    if (step.kind === "flush") continue;
    for (let at = 0; at < step.bytes.length;) {
      const end = Math.min(step.bytes.length, at + SECTOR - ((step.offset + at) % SECTOR));
      if (index < flushed || survives()) bytes.set(step.bytes.subarray(at, end), step.offset + at);
      at = end;
    }
  }
  return bytes;
}

let original: Uint8Array;
let masterKey: Uint8Array;

beforeAll(async () => {
  ({ area: original, masterKey } = await createLuks(
    { spec: { keyBits: 128, mode: "cbc", ivGenerator: "plain64" }, hash: "sha256", passphrase: passphrase("one"), iterationTimeMs: 0 },
    { clock: new SimulatedClock(), offload, entropy: counted(1) },
  ));
});

async function change(area: KeySlotArea, asked: SlotChange, force = false): Promise<LuksHeader> {
  const clock = new SimulatedClock();
  const secret = (id: string): Uint8Array => {
    if (!(id in SECRETS)) throw new BlockError("NOT_FOUND", `No secret with id '${id}'`);
    return passphrase(id);
  };
  return changeSlots(asked, { area, masterKey, clock, entropy: counted(area.length), offload, secret, force });
}

const activate = (newSecret: string, slot?: number): SlotChange => ({ kind: "activate", slot, newSecret, iterationTimeMs: 0 });
const eraseSlot = (slot: number, oldSecret?: string): SlotChange => ({ kind: "erase", slot, oldSecret });
const eraseOld = (oldSecret: string): SlotChange => ({ kind: "erase", slot: undefined, oldSecret });

async function opens(bytes: Uint8Array, id: string): Promise<boolean> {
  const readMaterial = async (offset: number, length: number): Promise<Uint8Array> => bytes.slice(offset, offset + length);
  try {
    const found = await unlockLuks(decodeLuksHeader(bytes, bytes.length), passphrase(id), { offload, readMaterial });
    expect(found).toEqual(masterKey);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "NOT_ALLOWED" });
    return false;
  }
}

async function keysOf(bytes: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for (const id of Object.keys(SECRETS)) if (await opens(bytes, id)) found.push(id);
  return found;
}

/** Slots with these secrets, from the first on. */
async function areaWith(...ids: readonly string[]): Promise<RecordedArea> {
  const area = new RecordedArea(original);
  for (const id of ids.slice(1)) await change(area, activate(id));
  return new RecordedArea(area.bytes);
}

describe("a change of slots", () => {
  it("adds passphrases, and takes them away", async () => {
    const area = await areaWith("one");
    await change(area, activate("two"));
    const header = await change(area, activate("three", 6));
    expect(Buffer.from(encodeLuksHeader(header)).equals(area.bytes.subarray(0, LUKS_HEADER_LENGTH))).toBe(true);
    expect(header.slots.map(({ active }) => active)).toEqual([true, true, false, false, false, false, true, false]);
    expect(await keysOf(area.bytes)).toEqual(["one", "two", "three"]);
    await change(area, eraseSlot(6));
    await change(area, eraseOld("one"));
    expect(await keysOf(area.bytes)).toEqual(["two"]);
  });

  it("leaves nothing of a key that was erased", async () => {
    const area = await areaWith("one", "two");
    const { materialOffset, salt } = area.header.slots[0] ?? { materialOffset: 0, salt: new Uint8Array() };
    const material = Buffer.from(area.bytes.slice(materialOffset, materialOffset + 64_000));
    const { slots } = await change(area, eraseSlot(0, "one"));
    expect(slots[0]).toEqual({ active: false, iterations: 0, salt: new Uint8Array(32), materialOffset });
    expect(Buffer.from(area.bytes).includes(Buffer.from(salt))).toBe(false);
    for (let at = 0; at < material.length; at += SECTOR)
      expect(Buffer.from(area.bytes).includes(material.subarray(at, at + SECTOR))).toBe(false);
  });

  it("erases all slots that hold the secret", async () => {
    const area = await areaWith("one", "two", "one", "two");
    const { slots } = await change(area, eraseOld("two"));
    expect(slots.map(({ active }) => active).slice(0, 4)).toEqual([true, false, true, false]);
  });

  it("with force overwrites a slot that is in use, also the only one, and erases the last", async () => {
    const area = await areaWith("one");
    await change(area, activate("two", 0), true);
    expect(await keysOf(area.bytes)).toEqual(["two"]);
    expect(area.header.slots.map(({ active }) => active)).toEqual([true, ...Array.from({ length: 7 }, () => false)]);
    await change(area, eraseSlot(3), true);
    await change(area, eraseOld("two"), true);
    expect(await keysOf(area.bytes)).toEqual([]);
  });

  const full = ["one", "two", "two", "two", "two", "two", "two", "two"];
  const refused: readonly (readonly [message: string, slots: readonly string[], asked: SlotChange])[] = [
    ["Refusing to overwrite active keyslot 1 - please erase it first", ["one", "two"], activate("three", 1)],
    ["Can't add a keyslot - all keyslots are in use", full, activate("three")],
    ["No secret with id 'four'", ["one"], activate("four")],
    ["Given keyslot 3 is already erased (inactive) ", ["one"], eraseSlot(3)],
    ["Given keyslot 0 doesn't contain the given old password for erase operation", ["one", "two"], eraseSlot(0, "two")],
    ["Given keyslot 3 doesn't contain the given old password for erase operation", ["one", "two"], eraseSlot(3, "two")],
    ["No keyslots match given (old) password for erase operation", ["one", "two"], eraseOld("wrong")],
    [
      "Attempt to erase the only active keyslot 0 which will erase all the data in the image irreversibly - refusing operation",
      ["one"],
      eraseSlot(0),
    ],
    [
      "All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly - refusing operation",
      ["one", "one"],
      eraseOld("one"),
    ],
  ];
  it.each(refused)("%s", async (message, slots, asked) => {
    const area = await areaWith(...slots);
    await expect(change(area, asked)).rejects.toMatchObject({ message });
    expect(area.steps).toEqual([]);
  });
});

describe("nobody is locked out by a power cut or a failure", () => {
  const changes: readonly (readonly [what: string, slots: readonly string[], asked: SlotChange, force: boolean])[] = [
    ["another passphrase", ["one"], activate("two"), false],
    ["one slot erased", ["one", "two"], eraseSlot(0), false],
    ["several slots erased", ["one", "two", "one"], eraseOld("one"), false],
    ["the only slot overwritten", ["one"], activate("two", 0), true],
    ["one of two slots overwritten", ["one", "two"], activate("three", 1), true],
    ["the slot whose record lies in two sectors", ["one"], activate("two", 6), false],
  ];
  it.each(changes)("%s", { timeout: 60_000 }, async (_what, slots, asked, force) => {
    const { bytes: before } = await areaWith(...slots);
    const whole = new RecordedArea(before);
    await change(whole, asked, force);
    const valid = new Set([...slots, ...(asked.kind === "activate" ? [asked.newSecret] : [])]);
    expect((await keysOf(whole.bytes)).every((id) => valid.has(id))).toBe(true);
    const expectOpen = async (bytes: Uint8Array): Promise<void> => {
      let isOpen = false;
      for (const id of valid) isOpen ||= await opens(bytes, id);
      expect(isOpen).toBe(true);
    };
    const random = counted(7);
    for (let count = 0; count <= whole.steps.length; count++) {
      for (const share of [0, 128]) await expectOpen(cut(before, whole.steps, count, () => (random.bytes(1)[0] ?? 0) < share));
      if (count === whole.steps.length) continue;
      for (const share of [0.5, 1]) {
        const failing = new RecordedArea(before);
        failing.stepsUntilFailure = count;
        failing.shareOfFailing = share;
        await expect(change(failing, asked, force)).rejects.toMatchObject({ code: "IO" });
        await expectOpen(failing.bytes);
      }
    }
  });
});
