/** Other passphrases for images that are open: what is written in which order, and what a power cut or a failure leaves. */

import { readFileSync } from "node:fs";
import { BlockGraph, BlockError, memoryDriver, rawDriver } from "@coblock/core";
import { beforeAll, describe, expect, it } from "vitest";
import { qcow2Driver } from "../index.ts";
import { QUICK_VALUES, secretGraph } from "../test/encrypted-images.ts";
import { contentOf, Seeded, TemporaryDirectory } from "../test/images.ts";
import { RecordedFile } from "../test/recorded-file.ts";

const SIZE = 256 * 1024;
const SECRETS = { sec0: "correct horse", sec1: "battery", sec2: "staple" } as const;
type Secret = keyof typeof SECRETS;
const ACTIVATE = { "encrypt.state": "active", "encrypt.iter-time": 0 } as const;
const QUICKEST = { ...QUICK_VALUES, "encrypt.iter-time": 0, "encrypt.cipher-alg": "aes-128", "encrypt.cipher-mode": "cbc" } as const;

let original: Buffer;

function graphOver(file: RecordedFile): BlockGraph {
  return new BlockGraph({ drivers: [file.driver, rawDriver, qcow2Driver], secrets: SECRETS });
}

function opened(keySecret: Secret): {
  readonly driver: "qcow2";
  readonly file: { readonly driver: "memory" };
  readonly encrypt: { readonly keySecret: Secret };
} {
  return { driver: "qcow2", file: { driver: "memory" }, encrypt: { keySecret } };
}

async function isOpenedBy(bytes: Uint8Array, secret: Secret): Promise<boolean> {
  await using graph = new BlockGraph({ drivers: [memoryDriver, rawDriver, qcow2Driver], secrets: SECRETS });
  try {
    await using disk = await graph.open({ ...opened(secret), file: { driver: "memory", bytes } }, { readOnly: true });
    expect((await contentOf(disk)).every((byte) => byte === 5)).toBe(true);
    return true;
  } catch (error) {
    if (error instanceof BlockError && error.code === "NOT_ALLOWED") return false;
    throw error;
  }
}

beforeAll(async () => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  await using graph = secretGraph(SECRETS);
  await graph.create({ driver: "qcow2", filename: file, size: SIZE, values: QUICKEST });
  {
    await using disk = await graph.open({ ...opened("sec0"), file });
    await disk.write(0, Buffer.alloc(SIZE, 5));
    await disk.amend({ ...ACTIVATE, "encrypt.new-secret": "sec1" });
  }
  original = readFileSync(file);
});

describe("an encrypted image that is open", () => {
  it("takes other passphrases, tells of them, and goes on being used", async () => {
    const file = new RecordedFile(original);
    await using graph = graphOver(file);
    await using disk = await graph.open(opened("sec0"));
    const used = async (): Promise<readonly boolean[]> => {
      const { formatSpecific } = await disk.info();
      const encrypt = formatSpecific?.data["encrypt"] as { readonly slots: readonly { readonly active: boolean }[] } | undefined;
      return encrypt?.slots.slice(0, 4).map(({ active }) => active) ?? [];
    };
    await disk.write(0, Buffer.alloc(SIZE / 2, 6));
    await disk.amend({ ...ACTIVATE, "encrypt.new-secret": "sec2", "encrypt.keyslot": 3, refcount_bits: 64 });
    expect(await used()).toEqual([true, true, false, true]);
    await disk.amend({ "encrypt.state": "inactive", "encrypt.old-secret": "sec0" });
    expect(await used()).toEqual([false, true, false, true]);
    await disk.write(0, Buffer.alloc(SIZE / 2, 5));
    await disk.amend({ ...ACTIVATE, "encrypt.new-secret": "sec0" });
    await disk.flush();
    for (const secret of ["sec0", "sec1", "sec2"] as const) expect(await isOpenedBy(file.bytes, secret)).toBe(true);
  });

  it("is not changed where it is refused", async () => {
    const file = new RecordedFile(original);
    await using graph = graphOver(file);
    await using disk = await graph.open(opened("sec0"));
    const refused = [
      [{ "encrypt.state": "inactive", "encrypt.keyslot": 5 }, "already erased"],
      [{ ...ACTIVATE, "encrypt.new-secret": "sec2", compat: "0.10" }, "Cannot downgrade an encrypted image"],
      [{ ...ACTIVATE, "encrypt.new-secret": "sec2", refcount_bits: 7 }, "power of two"],
    ] as const;
    for (const [values, message] of refused) await expect(disk.amend(values)).rejects.toThrow(message);
    const aborted = disk.amend({ ...ACTIVATE, "encrypt.new-secret": "sec2" }, { signal: AbortSignal.abort(new Error("enough")) });
    await expect(aborted).rejects.toThrow("enough");
    expect(file.bytes.equals(original)).toBe(true);
  });
});

describe("after a power cut or a failure some passphrase of before or after opens the image", () => {
  const changes = [
    ["one more", { ...ACTIVATE, "encrypt.new-secret": "sec2" }, ["sec0", "sec1", "sec2"]],
    ["one less", { "encrypt.state": "inactive", "encrypt.old-secret": "sec0" }, ["sec1"]],
  ] as const;
  it.each(changes)("%s", { timeout: 60_000 }, async (_what, values, after) => {
    const amend = async (file: RecordedFile): Promise<void> => {
      await using graph = graphOver(file);
      const disk = await graph.open(opened("sec0"));
      try {
        await disk.amend(values);
      } finally {
        await disk[Symbol.asyncDispose]();
      }
    };
    const whole = new RecordedFile(original);
    await amend(whole);
    for (const secret of after) expect(await isOpenedBy(whole.bytes, secret)).toBe(true);
    const kinds = whole.log.map(({ kind }) => kind).join(" ");
    expect(kinds).toContain(values["encrypt.state"] === "active" ? "write write flush write flush" : "write flush write flush");
    const random = new Seeded(5);
    for (let length = 0; length <= whole.log.length; length++)
      expect(
        await isOpenedBy(
          whole.cut(original, length, () => random.once(2)),
          "sec1",
        ),
      ).toBe(true);
    for (let until = 0; until < whole.log.length; until++) {
      const failing = new RecordedFile(original);
      failing.operationsUntilFailure = until;
      await amend(failing).catch((error: unknown) => expect(error).toBeInstanceOf(BlockError));
      expect(await isOpenedBy(failing.bytes, "sec1")).toBe(true);
    }
  });
});
