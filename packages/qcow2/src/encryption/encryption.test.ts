/** Encrypted images in both directions: what either tool writes, the other reads. */

import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { BlockNode, CreateValue } from "@coblock/core";
import { describe, expect, it } from "vitest";
import {
  derivingQemuImg,
  expectCleanEncrypted,
  opened,
  qemuCreateEncrypted,
  QUICK,
  QUICK_VALUES,
  secretContent,
  secretGraph,
  secretQemuImg,
  secretQemuIo,
} from "../test/encrypted-images.ts";
import { contentOf, qemuImg, Seeded, TemporaryDirectory } from "../test/images.ts";

type Values = Readonly<Record<string, CreateValue>>;
const KIB = 1024;
const MIB = KIB * KIB;

/** Ciphers, modes, vectors and hashes, each at least once; `test/tools/qcow2-kinds` has encryption beside all else that an image can be made with. */
const SHAPES: readonly (Values & { readonly dataFile?: boolean; readonly backing?: boolean })[] = [
  { cluster_size: 512, refcount_bits: 1, "encrypt.cipher-mode": "cbc", "encrypt.ivgen-alg": "essiv", backing: true },
  { cluster_size: 4096, compat: "0.10", "encrypt.cipher-alg": "aes-128", "encrypt.hash-alg": "md5", backing: true },
  { cluster_size: 4096, "encrypt.cipher-mode": "ctr", "encrypt.hash-alg": "sha512", dataFile: true },
  { cluster_size: 16_384, extended_l2: true, "encrypt.cipher-alg": "aes-128", "encrypt.cipher-mode": "cbc", "encrypt.hash-alg": "sha1" },
  { cluster_size: 65_536, "encrypt.cipher-mode": "ecb", "encrypt.ivgen-alg": "plain", backing: true },
  { cluster_size: 131_072, extended_l2: true, "encrypt.cipher-alg": "aes-192", "encrypt.hash-alg": "ripemd160", backing: true },
];

describe.each(SHAPES)("%o", ({ dataFile = false, backing = false, ...shape }) => {
  it.each(["ours", "theirs"])("an image of %s holds what either tool wrote, and is clean", async (maker) => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    const random = new Seeded(Number(shape["cluster_size"]) + (maker === "ours" ? 1 : 2));
    const size = Math.min(Number(shape["cluster_size"]) * 300, 3 * MIB) - 1536;
    const values: Values = { ...QUICK_VALUES, ...shape, ...(dataFile ? { data_file: `${file}.data` } : {}) };
    const model = Buffer.alloc(size);
    const base = folder.file("base");
    if (backing) {
      const content = random.bytes(Math.floor(size / 2));
      writeFileSync(base, content);
      content.copy(model);
    }
    await using graph = secretGraph();
    const named = backing ? { backing: { filename: base, format: "raw" } } : {};
    const words = `${optionsOf(values)}${backing ? `,backing_file=${base},backing_fmt=raw` : ""}`;
    if (maker === "ours") await graph.create({ driver: "qcow2", filename: file, size, values, ...named });
    else qemuCreateEncrypted(file, size, words);
    for (let session = 0; session < 2; session++) {
      await writeSome(graph, file, model, random);
      expectCleanEncrypted(file);
      expect(secretContent(file).equals(model)).toBe(true);
      const at = random.below(Math.floor(size / 512) - 100) * 512;
      secretQemuIo(file, `write -P ${session + 40} ${at} 50176`, `write -z ${at + 7 * 512} 1k`);
      model.fill(session + 40, at, at + 50_176).fill(0, at + 7 * 512, at + 9 * 512);
      await using disk = await graph.open(opened(file), { readOnly: true });
      expect((await contentOf(disk)).equals(model)).toBe(true);
    }
  });
});

function optionsOf(values: Values): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value === true ? "on" : value === false ? "off" : value}`)
    .join(",");
}

/** Requests of any alignment, zeros and discards among them. */
async function writeSome(graph: ReturnType<typeof secretGraph>, file: string, model: Buffer, random: Seeded): Promise<void> {
  await using disk = await graph.open(opened(file));
  for (let step = 0; step < 25; step++) {
    const start = random.below(model.length);
    const length = Math.min(model.length - start, 1 + random.below(random.once(3) ? 300 * KIB : 9000));
    await change(disk, model, random, start, length);
    if (random.once(6)) await disk.flush();
  }
  expect((await contentOf(disk)).equals(model)).toBe(true);
}

async function change(disk: BlockNode, model: Buffer, random: Seeded, start: number, length: number): Promise<void> {
  if (random.below(10) < 6) {
    const bytes = random.bytes(length);
    bytes.copy(model, start);
    return disk.write(start, bytes);
  }
  if (random.once(4)) await disk.discard(start, length);
  model.fill(0, start, start + length);
  return disk.writeZeroes(start, length, { mayUnmap: random.once(2) });
}

describe("an encrypted image", () => {
  it("shows nothing of what was written, in the image file or the data file", async () => {
    for (const dataFile of [false, true]) {
      using folder = new TemporaryDirectory();
      const file = folder.file("image");
      await using graph = secretGraph();
      const values = { ...QUICK_VALUES, ...(dataFile ? { data_file: `${file}.data` } : {}) };
      await graph.create({ driver: "qcow2", filename: file, size: MIB, values });
      {
        await using disk = await graph.open(opened(file));
        await disk.write(70_000, Buffer.alloc(200_000, "tell nobody "));
        await disk.write(100_000, Buffer.from("tell nobody at all"));
      }
      for (const name of dataFile ? [file, `${file}.data`] : [file]) expect(readFileSync(name).includes("tell")).toBe(false);
    }
  });

  it("keeps its snapshots, which open with the same passphrase", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    const random = new Seeded(11);
    await using graph = secretGraph();
    await graph.create({ driver: "qcow2", filename: file, size: 2 * MIB, values: { ...QUICK_VALUES, cluster_size: 4096 } });
    const before = random.bytes(2 * MIB);
    const after = Buffer.from(before);
    {
      await using disk = await graph.open(opened(file));
      await disk.write(0, before);
      await disk.snapshots?.create("one");
      random.bytes(300_000).copy(after, 100_001);
      await disk.write(100_001, after.subarray(100_001, 400_001));
    }
    expectCleanEncrypted(file);
    expect(secretContent(file).equals(after)).toBe(true);
    {
      await using disk = await graph.open({ ...opened(file), snapshot: { name: "one" } }, { readOnly: true });
      expect((await contentOf(disk)).equals(before)).toBe(true);
    }
    {
      await using disk = await graph.open(opened(file));
      await disk.snapshots?.apply({ name: "one" });
      await disk.snapshots?.delete({ name: "one" });
    }
    expectCleanEncrypted(file);
    expect(secretContent(file).equals(before)).toBe(true);
  });

  it("grows, and the rest of its last cluster reads as zeros", async () => {
    using folder = new TemporaryDirectory();
    const base = folder.file("base");
    writeFileSync(base, Buffer.alloc(4 * MIB, 9));
    for (const compat of ["0.10", "1.1"]) {
      const file = folder.file(compat);
      await using graph = secretGraph();
      const size = MIB - 512;
      await graph.create({ driver: "qcow2", filename: file, size, values: { ...QUICK_VALUES, compat } });
      const model = Buffer.alloc(3 * MIB);
      model.fill(7, MIB - 65_536, size);
      {
        await using disk = await graph.open(opened(file));
        await disk.write(MIB - 65_536, model.subarray(MIB - 65_536, size));
      }
      // Whatever was behind the end of the disk is no business of the guest's.
      secretQemuImg("resize", `@${file}`, String(MIB));
      secretQemuIo(file, `write -P 99 ${size} 512`);
      secretQemuImg("resize", "--shrink", `@${file}`, String(size));
      {
        await using disk = await graph.open(opened(file));
        await disk.resize(3 * MIB);
        expect((await contentOf(disk)).equals(model)).toBe(true);
      }
      expectCleanEncrypted(file);
      expect(secretContent(file).equals(model)).toBe(true);
    }
  });

  it.each(
    ["metadata", "falloc", "full"].flatMap((preallocation) => [
      { preallocation },
      { preallocation, compat: "0.10" },
      { preallocation, extended_l2: true },
      { preallocation, dataFile: true },
    ]),
  )(
    "reads as zeros when it is mapped in advance: %o",
    async ({ dataFile = false, ...values }: Values & { readonly dataFile?: boolean }) => {
      using folder = new TemporaryDirectory();
      const file = folder.file("image");
      await using graph = secretGraph();
      const creation = { ...QUICK_VALUES, ...values, ...(dataFile ? { data_file: `${file}.data` } : {}) };
      await graph.create({ driver: "qcow2", filename: file, size: 3 * MIB, values: creation });
      const model = Buffer.alloc(5 * MIB);
      expectCleanEncrypted(file);
      expect(secretContent(file).equals(model.subarray(0, 3 * MIB))).toBe(true);
      {
        await using disk = await graph.open(opened(file));
        await disk.resize(5 * MIB, { preallocation: values["preallocation"] as "metadata" });
        await disk.write(1000, Buffer.alloc(100_000, 3));
      }
      model.fill(3, 1000, 101_000);
      expectCleanEncrypted(file);
      expect(secretContent(file).equals(model)).toBe(true);
      if (values["preallocation"] !== "metadata")
        expect(statSync(dataFile ? `${file}.data` : file).blocks * 512).toBeGreaterThanOrEqual(5 * MIB);
    },
  );

  it("stands over images with passphrases of their own", async () => {
    using folder = new TemporaryDirectory();
    const [base, top] = [folder.file("base"), folder.file("top")];
    await using graph = secretGraph({ below: "something else" });
    await graph.create({ driver: "qcow2", filename: base, size: MIB, values: { ...QUICK_VALUES, "encrypt.key-secret": "below" } });
    const model = Buffer.alloc(MIB, 5);
    {
      await using disk = await graph.open({ driver: "qcow2", file: base, encrypt: { keySecret: "below" } });
      await disk.write(0, model);
    }
    await graph.create({ driver: "qcow2", filename: top, size: MIB, values: QUICK_VALUES, backing: { filename: base, format: "qcow2" } });
    {
      await using disk = await graph.open({ ...opened(top), backing: { driver: "qcow2", file: base, encrypt: { keySecret: "below" } } });
      await disk.write(5000, Buffer.alloc(3000, 6));
      model.fill(6, 5000, 8000);
      expect((await contentOf(disk)).equals(model)).toBe(true);
    }
    const target = folder.file("raw");
    const objects = ["sec0,data=correct horse", "below,data=something else"].flatMap((words) => ["--object", `secret,id=${words}`]);
    const chain = `driver=qcow2,encrypt.key-secret=sec0,file.filename=${top},backing.driver=qcow2,backing.encrypt.key-secret=below,backing.file.filename=${base}`;
    qemuImg("convert", ...objects, "--image-opts", chain, "-O", "raw", target);
    expect(readFileSync(target).equals(model)).toBe(true);
  });

  it("gets no compressed clusters", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = secretGraph();
    await graph.create({ driver: "qcow2", filename: file, size: MIB, values: QUICK_VALUES });
    await using disk = await graph.open(opened(file));
    await disk.writeCompressed(0, Buffer.alloc(65_536, 1));
    expect(await disk.status(0, 65_536)).toMatchObject({ kind: "data" });
    expect((await disk.status(0, 65_536)).location, "these are not the guest's bytes").toBeUndefined();
  });
});

describe("legacy AES", () => {
  it.each(["0.10", "1.1"])("is read, compat %s", async (compat) => {
    using folder = new TemporaryDirectory();
    const base = folder.file("base");
    writeFileSync(base, Buffer.alloc(MIB, 1));
    const file = qemuCreateEncrypted(
      folder.file("image"),
      MIB,
      `encrypt.format=aes,encrypt.key-secret=sec0,compat=${compat},backing_file=${base},backing_fmt=raw`,
    );
    secretQemuIo(file, "write -P 5 0 64k", "write -P 6 100k 3k", "write -P 7 640k 128k");
    await using graph = secretGraph();
    {
      await using disk = await graph.open(opened(file), { readOnly: true });
      expect((await contentOf(disk)).equals(secretContent(file))).toBe(true);
      const odd = Buffer.alloc(700);
      await disk.read(102_399, odd);
      expect(odd.subarray(1).equals(Buffer.alloc(699, 6))).toBe(true);
      expect(odd[0]).toBe(1);
    }
    await expect(graph.open(opened(file))).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
    expect((await (await graph.open({ driver: "qcow2", file }, { readOnly: true })).info()).formatSpecific?.data).toMatchObject({
      encrypt: { format: "aes" },
    });
  });
});

describe("options of a new image", () => {
  const made: readonly Values[] = [{}, { refcount_bits: 64, cluster_size: 4096 }];
  it.each(made)("%o take the space that qemu-img says", async (shape) => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = secretGraph();
    const values = { ...QUICK_VALUES, ...shape };
    await graph.create({ driver: "qcow2", filename: file, size: 64 * MIB, values });
    const measured = JSON.parse(
      derivingQemuImg(
        "measure",
        "--object",
        "secret,id=sec0,data=x",
        "--output=json",
        "-O",
        "qcow2",
        "--size",
        "64M",
        "-o",
        `${QUICK},${optionsOf(shape)}`.replace(/,$/, ""),
      ),
    ) as { readonly required: number; readonly "fully-allocated": number };
    const driver = await graph.driver("qcow2");
    expect(await driver.measure?.({ size: 64 * MIB, values })).toEqual({
      required: measured.required,
      fullyAllocated: measured["fully-allocated"],
    });
    expectCleanEncrypted(file);
  });

  const refused: readonly (readonly [values: Values, code: string, message: string])[] = [
    [{ "encrypt.format": "luks" }, "INVALID_OPTION", "Parameter 'encrypt.key-secret' is required for cipher"],
    [{ "encrypt.key-secret": "sec0" }, "INVALID_OPTION", "Parameter 'encrypt.format' is missing"],
    [{ ...QUICK_VALUES, "encrypt.key-secret": "none" }, "NOT_FOUND", "No secret with id 'none'"],
    [{ ...QUICK_VALUES, "encrypt.format": "foo" }, "INVALID_OPTION", "Parameter 'format' does not accept value 'foo'"],
    [{ ...QUICK_VALUES, "encrypt.format": "aes" }, "UNSUPPORTED_FEATURE", "are only read"],
    [{ ...QUICK_VALUES, "encrypt.cipher-alg": "bogus" }, "INVALID_OPTION", "Parameter 'cipher-alg' does not accept value 'bogus'"],
    [{ ...QUICK_VALUES, "encrypt.cipher-alg": "serpent-256" }, "UNSUPPORTED_FEATURE", "cipher 'serpent-256' is not supported"],
    [{ ...QUICK_VALUES, "encrypt.cipher-alg": "aes-192", "encrypt.cipher-mode": "cbc" }, "UNSUPPORTED_FEATURE", "aes-192"],
    [{ ...QUICK_VALUES, "encrypt.ivgen-alg": "essiv", "encrypt.ivgen-hash-alg": "sha1" }, "UNSUPPORTED_FEATURE", "essiv:sha1"],
    [{ ...QUICK_VALUES, data_file: "none", data_file_raw: true }, "INVALID_OPTION", "do not go together"],
  ];
  it.each(refused)("%o are refused before a file is made", async (values, code, message) => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    await using graph = secretGraph();
    const refusal = await graph.create({ driver: "qcow2", filename: file, size: MIB, values }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect(existsSync(file)).toBe(false);
  });
});
