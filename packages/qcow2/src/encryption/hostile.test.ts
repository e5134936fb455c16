/** Encrypted images that are damaged, or opened with the wrong words: one clear error each, and what needs no key still works. */

import { readFileSync, writeFileSync } from "node:fs";
import type { OpenOptions } from "@coblock/core";
import { expect, it } from "vitest";
import { expectCleanEncrypted, opened, QUICK_VALUES, secretGraph, secretQemuIo } from "../test/encrypted-images.ts";
import { hostGraph, patch, places, qemuCreate, TemporaryDirectory } from "../test/images.ts";

const MIB = 2 ** 20;
/** Of the data of the header extension with the place of the keys, which comes first in a new image. */
const EXTENSION_AT = 112;

const image: Promise<Buffer> = make();

async function make(): Promise<Buffer> {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  await using graph = secretGraph();
  await graph.create({ driver: "qcow2", filename: file, size: MIB, values: QUICK_VALUES });
  await using disk = await graph.open(opened(file));
  await disk.write(0, Buffer.alloc(65_536, 1));
  await disk.flush();
  return readFileSync(file);
}

const luksAt = (bytes: Buffer): number => Number(bytes.readBigUInt64BE(EXTENSION_AT + 8));
const slotAt = (bytes: Buffer, slot: number): number => luksAt(bytes) + 208 + slot * 48;

const damages: readonly (readonly [what: string, code: string, message: string, edit: (bytes: Buffer) => Buffer | void])[] = [
  [
    "the keys are past the end",
    "CORRUPT_IMAGE",
    "0 bytes are too short",
    (bytes) => void bytes.writeBigUInt64BE(2n ** 40n, EXTENSION_AT + 8),
  ],
  ["the keys are nowhere", "CORRUPT_IMAGE", "larger", (bytes) => void bytes.writeBigUInt64BE(2n ** 63n, EXTENSION_AT + 8)],
  ["the keys are not at a cluster", "CORRUPT_IMAGE", "not aligned", (bytes) => void bytes.writeBigUInt64BE(0x40200n, EXTENSION_AT + 8)],
  ["the keys have no room", "CORRUPT_IMAGE", "16 bytes are too short", (bytes) => void bytes.writeBigUInt64BE(16n, EXTENSION_AT + 16)],
  [
    "the keys end beyond all numbers",
    "CORRUPT_IMAGE",
    "ends beyond",
    (bytes) => void bytes.writeBigUInt64BE(2n ** 53n - 1n, EXTENSION_AT + 16),
  ],
  [
    "the area ends before the keys do",
    "CORRUPT_IMAGE",
    "past the end of its area",
    (bytes) => void bytes.writeBigUInt64BE(4096n, EXTENSION_AT + 16),
  ],
  ["the file ends in the keys", "CORRUPT_IMAGE", "past the end of its area", (bytes) => bytes.subarray(0, luksAt(bytes) + 5000)],
  ["there is no extension", "CORRUPT_IMAGE", "does not say where the keys are", (bytes) => void bytes.writeUInt32BE(7, EXTENSION_AT)],
  ["nothing says that it is encrypted", "CORRUPT_IMAGE", "is not encrypted with LUKS", (bytes) => void bytes.writeUInt32BE(0, 32)],
  ["the method is unknown", "UNSUPPORTED_FEATURE", "encryption method 3", (bytes) => void bytes.writeUInt32BE(3, 32)],
  ["LUKS is of version 2", "UNSUPPORTED_FEATURE", "argon2", (bytes) => void bytes.writeUInt16BE(2, luksAt(bytes) + 6)],
  [
    "a slot lies in the header",
    "CORRUPT_IMAGE",
    "slot 1 at offset 0x200 overlaps",
    (bytes) => void bytes.writeUInt32BE(1, slotAt(bytes, 1) + 40),
  ],
  ["a slot has other stripes", "CORRUPT_IMAGE", "1 stripes", (bytes) => void bytes.writeUInt32BE(1, slotAt(bytes, 7) + 44)],
  ["a slot takes no round", "CORRUPT_IMAGE", "0 rounds", (bytes) => void bytes.writeUInt32BE(0, slotAt(bytes, 0) + 4)],
  [
    "a slot takes for ever",
    "UNSUPPORTED_FEATURE",
    "4294967295 rounds",
    (bytes) => void bytes.writeUInt32BE(2 ** 32 - 1, slotAt(bytes, 0) + 4),
  ],
  ["the cipher is unknown", "UNSUPPORTED_FEATURE", "cipher 'bes' is not supported", (bytes) => void bytes.write("b", luksAt(bytes) + 8)],
  ["the hash is unknown", "UNSUPPORTED_FEATURE", "hash 'tha256'", (bytes) => void bytes.write("t", luksAt(bytes) + 72)],
  [
    "the key material is damaged",
    "NOT_ALLOWED",
    "cannot unlock any keyslot",
    (bytes) => void bytes.fill(3, luksAt(bytes) + 5000, luksAt(bytes) + 5001),
  ],
  ["the digest is damaged", "NOT_ALLOWED", "cannot unlock any keyslot", (bytes) => void bytes.writeUInt32BE(1, luksAt(bytes) + 112)],
  ["no slot is in use", "NOT_ALLOWED", "cannot unlock any keyslot", (bytes) => void bytes.writeUInt32BE(0xdead, slotAt(bytes, 0))],
];
it.each(damages)("where %s, opening it says so", async (_what, code, message, edit) => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  patch(file, (bytes) => edit(bytes) ?? undefined);
  await using graph = secretGraph();
  const refusal = await graph.open(opened(file), { readOnly: true }).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code, message: expect.stringMatching(/^[^\n]*$/) as string });
  expect((refusal as Error).message).toContain(message);
  expect((refusal as Error).message).toContain(file);
  expect((refusal as Error).message).not.toContain("horse");
});

/** The entry of the L1 table that leads to the first L2 table, and the refcount of the first cluster of the keys. */
const SHARED: readonly (readonly [what: string, message: string, edit: (bytes: Buffer) => unknown])[] = [
  [
    "an L2 table",
    "lies over the active L2 table",
    (bytes) => bytes.writeBigUInt64BE(2n ** 63n + BigInt(luksAt(bytes)), Number(bytes.readBigUInt64BE(40))),
  ],
  [
    "somebody else",
    "has 2 references",
    (bytes) => {
      const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
      bytes.writeUInt16BE(2, block + (luksAt(bytes) / 65_536) * 2);
    },
  ],
];
it.each(SHARED)("keys in a place that belongs to %s are not changed", async (_what, message, edit) => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  patch(file, (bytes) => void edit(bytes));
  await using graph = secretGraph();
  const node = await graph.open(opened(file));
  const before = readFileSync(file);
  const refusal = node.amend({ "encrypt.state": "active", "encrypt.new-secret": "sec0", "encrypt.iter-time": 1 });
  await expect(refusal).rejects.toMatchObject({ code: "CORRUPT_IMAGE", message: expect.stringContaining(message) as string });
  expect(readFileSync(file).equals(before)).toBe(true);
});

const WORDS: readonly (readonly [what: string, options: object, opening: OpenOptions, code: string, message: string])[] = [
  [
    "the wrong passphrase",
    { encrypt: { keySecret: "wrong" } },
    { readOnly: true },
    "NOT_ALLOWED",
    "Invalid password, cannot unlock any keyslot",
  ],
  ["a secret that nobody gave", { encrypt: { keySecret: "absent" } }, { readOnly: true }, "NOT_FOUND", "No secret with id 'absent'"],
  ["no secret, for writing", {}, {}, "INVALID_OPTION", "Parameter 'encrypt.key-secret' is required for cipher"],
  [
    "another format",
    { encrypt: { format: "aes", keySecret: "sec0" } },
    { readOnly: true },
    "INVALID_OPTION",
    "Header reported 'luks' encryption format but options specify 'aes'",
  ],
];
it.each(WORDS)("with %s it is not opened", async (_what, options, opening, code, message) => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  await using graph = secretGraph({ wrong: "correct horsE" });
  const refusal = await graph.open({ driver: "qcow2", file, ...options }, opening).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code, message: expect.stringContaining(message) as string });
});

it("tells of itself and is checked without a secret, and reads nothing", async () => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  await using graph = hostGraph();
  {
    await using disk = await graph.open({ driver: "qcow2", file }, { readOnly: true });
    expect(await disk.info()).toMatchObject({
      encrypted: true,
      formatSpecific: {
        data: { encrypt: { format: "luks", "cipher-alg": "aes-256", "payload-offset": 2_068_480 } },
      },
    });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toThrow("Parameter 'encrypt.key-secret' is required for cipher");
    expect(() => disk.status(0, 512)).toThrow("Parameter 'encrypt.key-secret' is required for cipher");
  }
  await using disk = await graph.open({ driver: "qcow2", file }, { readOnly: true, forCheck: true });
  expect(await disk.check({ repair: "none" }, () => {})).toMatchObject({ errors: 0, corruptions: 0, leaks: 0 });
});

it("takes a secret for an image that is not encrypted, but no format", async () => {
  using folder = new TemporaryDirectory();
  const file = qemuCreate(folder.file("image"), "1M");
  await using graph = secretGraph();
  await using _disk = await graph.open(opened(file), { readOnly: true });
  const asked = graph.open({ driver: "qcow2", file, encrypt: { format: "luks", keySecret: "sec0" } }, { readOnly: true });
  await expect(asked).rejects.toThrow("No encryption in image header, but options specified format 'luks'");
});

it("never lets data be written over its keys", async () => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  const keys = luksAt(await image);
  patch(file, (bytes) => void bytes.writeBigUInt64BE(2n ** 63n + BigInt(keys), places(bytes).l2));
  await using graph = secretGraph();
  const disk = await graph.open(opened(file));
  await expect(disk.write(0, new Uint8Array(512))).rejects.toThrow("over the LUKS header");
  await expect(disk[Symbol.asyncDispose]()).rejects.toThrow("over the LUKS header");
  expect(
    readFileSync(file)
      .subarray(keys, keys + 2 ** 21)
      .equals((await image).subarray(keys, keys + 2 ** 21)),
  ).toBe(true);
});

it("is opened by any slot, those before it being others'", async () => {
  using folder = new TemporaryDirectory();
  const file = folder.file("image");
  writeFileSync(file, await image);
  patch(file, (bytes) => {
    const [first, third] = [slotAt(bytes, 0), slotAt(bytes, 2)];
    bytes.copy(bytes, third, first, first + 40);
    const material = bytes.readUInt32BE(first + 40) * 512 + luksAt(bytes);
    bytes.copy(bytes, bytes.readUInt32BE(third + 40) * 512 + luksAt(bytes), material, material + 256_000);
    bytes.fill(8, material, material + 256_000);
    return undefined;
  });
  await using graph = secretGraph();
  const read = Buffer.alloc(512);
  {
    await using disk = await graph.open(opened(file), { readOnly: true });
    await disk.read(0, read);
  }
  expect(read.equals(Buffer.alloc(512, 1))).toBe(true);
  secretQemuIo(file, "read -P 1 0 64k");
  expectCleanEncrypted(file);
});
