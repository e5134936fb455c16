/** Bugs and attacks that qcow2 had elsewhere, by name, as far as no other test shows them; `qcow2-hazards.ts` says where the others are. */

import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { BlockError, BlockGraph, fileDriver, type ImplicitOpen, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { TestStorage } from "@coblock/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { wordsOf, Workbench } from "../tools/workbench.ts";

const MIB = 1024 * 1024;
/** Its passphrase is "open". */
const CREATE_ENCRYPTED =
  "create -q --object secret,id=s,data=open -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1 @image 1M";
const drivers = [fileDriver, rawDriver, qcow2Driver];
let bench = new Workbench();
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench[Symbol.dispose]());

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: unknown) => (error instanceof BlockError ? error.code : String(error)),
  );
}

/** What looking into an image ends with: a read-only image without its data file can tell of itself, and no more. */
async function codeOfReading(graph: BlockGraph, name: string): Promise<string> {
  const read = async (): Promise<void> => {
    await using disk = await graph.open(bench.path(name), { readOnly: true });
    await disk.read(0, new Uint8Array(512));
  };
  return codeOf(read());
}

/** An image whose header names `name`, whatever that is, as its data file. */
function withDataFile(image: string, nameOf: (length: number) => string): string {
  const placeholder = bench.path(`${"d".repeat(60)}.data`);
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", `data_file=${placeholder}`, `@${image}`, "1M");
  const bytes = readFileSync(bench.path(image));
  const name = nameOf(placeholder.length);
  expect(name).toHaveLength(placeholder.length);
  bytes.write(name, bytes.indexOf(placeholder), "latin1");
  writeFileSync(bench.path(image), bytes);
  return name;
}

describe("files that an image names", () => {
  const elsewhere = (length: number): string => `/etc/${"x".repeat(length - 5)}`;

  it("C3: a data file is asked for, by its whole name, and opened by nobody who only looks", async () => {
    const name = withDataFile("image", elsewhere);
    const asked: ImplicitOpen[] = [];
    await using graph = new BlockGraph({ drivers, implicitOpen: (request) => asked.push(request) < 0 });
    expect(await codeOfReading(graph, "image")).toBe("NOT_ALLOWED");
    expect(await codeOf(graph.open(bench.path("image")))).toBe("NOT_ALLOWED");
    expect(asked).toMatchObject([1, 2].map(() => ({ image: bench.path("image"), target: name })));
    expect((await bench.ours(["info", "@image"])).exitCode).toBe(0);
    await using careless = new BlockGraph({ drivers, implicitOpen: "allow" });
    expect(await codeOfReading(careless, "image")).toBe("NOT_FOUND");
  });

  it.each([
    ["options", (length: number) => `json:{"driver":"file","filename":"/etc/passwd${" ".repeat(length - 47)}"}`],
    ["an unknown protocol", (length: number) => `nosuchprotocol:${"x".repeat(length - 15)}`],
  ])("C4: a data file cannot be named by %s", async (_what, nameOf) => {
    withDataFile("image", nameOf);
    await using graph = new BlockGraph({ drivers, implicitOpen: "allow" });
    expect(await codeOfReading(graph, "image")).toBe("NOT_ALLOWED");
    for (const line of ["info @image", "info --output=json @image"])
      expect(await bench.ours(wordsOf(line))).toMatchObject({ exitCode: 0, stderr: "" });
  });

  it("C6: who says nothing opens neither backing nor data files", async () => {
    writeFileSync(bench.path("secret"), Buffer.alloc(MIB, 7));
    bench.qemuImg("create", "-q", "-f", "qcow2", "-b", bench.path("secret"), "-F", "raw", "@overlay");
    withDataFile("external", elsewhere);
    await using graph = new BlockGraph({ drivers });
    for (const name of ["overlay", "external"]) expect(await codeOfReading(graph, name)).toBe("NOT_ALLOWED");
    await using alone = await graph.open(bench.path("overlay"), { readOnly: true, backing: null });
    const bytes = Buffer.alloc(512, 1);
    await alone.read(0, bytes);
    expect(bytes.equals(Buffer.alloc(512))).toBe(true);
  });
});

describe("opening that fails", () => {
  const OPEN = { driver: "qcow2", file: "test:image" } as const;
  const makers: Readonly<Record<string, () => unknown>> = {
    "with a snapshot and a bitmap": () => {
      bench.qemuImg("create", "-q", "-f", "qcow2", "@image", "8M");
      bench.qemuIo("image", "qcow2", "write -P 1 0 1M");
      bench.qemuImg("snapshot", "-c", "one", "@image");
      bench.qemuImg("bitmap", "--add", "@image", "changes");
    },
    "that was not closed cleanly": () => {
      bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", "@image", "8M");
      bench.qemuIo("image", "qcow2", "write -P 1 0 1M");
      const bytes = readFileSync(bench.path("image"));
      bytes.writeUInt8(1, 79);
      writeFileSync(bench.path("image"), bytes);
    },
    encrypted: () => bench.ours(wordsOf(CREATE_ENCRYPTED)),
  };

  it.each(Object.keys(makers))("C13: an image %s leaves nothing open, whichever operation fails", async (name) => {
    await makers[name]?.();
    const original = readFileSync(bench.path("image"));
    const attempt = async (failing: number): Promise<string> => {
      const storage = new TestStorage();
      storage.put("test:image", original);
      await using graph = new BlockGraph({ drivers: [storage.driver, rawDriver, qcow2Driver], secrets: { s: "open" } });
      using fault = storage.fail(() => true, { after: failing, times: 1 });
      const options = name === "encrypted" ? { ...OPEN, encrypt: { keySecret: "s" } } : OPEN;
      const code = await codeOf(graph.open(options).then((disk) => disk[Symbol.asyncDispose]()));
      expect(fault.hits).toBe(code === "none" ? 0 : 1);
      expect({ files: storage.openFiles, inFlight: storage.inFlight, nodes: graph.inspect().nodes }).toEqual({
        files: 0,
        inFlight: 0,
        nodes: [],
      });
      return code;
    };
    let failing = 0;
    for (let code = await attempt(failing); code !== "none"; code = await attempt(failing)) {
      expect(code).toBe("IO");
      failing++;
    }
    expect(failing).toBeGreaterThan(2);
  });
});

it("C16: an image that is read only is not marked, however damaged", async () => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@image", "1M");
  bench.qemuIo("image", "qcow2", "write -P 1 0 128k");
  const bytes = readFileSync(bench.path("image"));
  const l1 = Number(bytes.readBigUInt64BE(40));
  const l2 = Number(bytes.readBigUInt64BE(l1) % 2n ** 56n);
  bytes.writeBigUInt64BE(2n ** 63n + BigInt(l2 + 512), l2);
  writeFileSync(bench.path("image"), bytes);
  await using graph = new BlockGraph({ drivers });
  await using disk = await graph.open(bench.path("image"), { readOnly: true });
  expect(await codeOf(disk.read(0, Buffer.alloc(512)))).toBe("CORRUPT_IMAGE");
  const good = Buffer.alloc(512);
  await disk.read(65_536, good);
  expect(good.equals(Buffer.alloc(512, 1))).toBe(true);
  await disk.check({ repair: "none" });
  expect(readFileSync(bench.path("image")).equals(bytes)).toBe(true);
});

describe("snapshot tables", () => {
  const changes: Readonly<Record<string, (bytes: Buffer, entry: number) => void>> = {
    "an entry with 2 KiB of extra data": (bytes, entry) => {
      const [extra, words] = [bytes.readUInt32BE(entry + 36), bytes.readUInt16BE(entry + 12) + bytes.readUInt16BE(entry + 14)];
      bytes.copyWithin(entry + 40 + 2048, entry + 40 + extra, entry + 40 + extra + words);
      bytes.fill(0, entry + 40 + extra, entry + 40 + 2048);
      bytes.writeUInt32BE(2048, entry + 36);
    },
    "a header that counts 65,537 of them": (bytes) => bytes.writeUInt32BE(65_537, 60),
  };

  it.each(Object.keys(changes))("C18: %s is refused, and repaired so that QEMU finds nothing", async (name) => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "@image", "1M");
    bench.qemuIo("image", "qcow2", "write -P 1 0 128k");
    bench.qemuImg("snapshot", "-c", "one", "@image");
    const sound = readFileSync(bench.path("image"));
    const entry = Number(sound.readBigUInt64BE(64));
    const bytes = Buffer.concat([sound, Buffer.alloc(entry + 4096 - sound.length)]);
    changes[name]?.(bytes, entry);
    writeFileSync(bench.path("image"), bytes);
    const refused = await bench.ours(wordsOf("map @image"));
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^coblock: [^\n]*snapshot[^\n]*\n$/);
    expect((await bench.ours(wordsOf("check -r all @image"))).exitCode).toBe(0);
    bench.qemuImg("check", "@image");
    expect(bench.theirs(wordsOf("snapshot -l @image")).stdout).toMatch(/\n1 +one /);
    bench.qemuImg("convert", "-l", "one", "-O", "raw", "@image", "@raw");
    expect(readFileSync(bench.path("raw")).subarray(0, 131_072)).toEqual(Buffer.alloc(131_072, 1));
  });
});

it("C24: a passphrase is in no message, whatever goes wrong", async () => {
  const wrong = "--object secret,id=s,data=hunter2";
  await bench.ours(wordsOf(CREATE_ENCRYPTED));
  const image = "driver=qcow2,file.filename=@image,encrypt.key-secret=s";
  for (const line of [
    `map ${wrong} --image-opts ${image}`,
    `inspect ${wrong} --image-opts ${image}`,
    `convert ${wrong} --image-opts ${image} -O raw @target`,
    `map --object secret,id=s,data=hunter2,format=base64 --image-opts ${image}`,
    `map --object secret,id=s,data=hunter2,iv=1 --image-opts ${image}`,
    `map ${wrong} --image-opts driver=qcow2,file.filename=@image,encrypt.key-secret=other`,
    `map ${wrong} ${wrong} --image-opts ${image}`,
  ]) {
    const { exitCode, stdout, stderr } = await bench.ours(wordsOf(line));
    expect({ line, exitCode, told: (stdout + stderr).includes("hunter2") }).toEqual({ line, exitCode: 1, told: false });
  }
  await using graph = new BlockGraph({ drivers, secrets: { s: "hunter2" } });
  const failure: unknown = await graph
    .open({ driver: "qcow2", file: bench.path("image"), encrypt: { keySecret: "s" } })
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "NOT_ALLOWED" });
  for (const shown of [String(failure), (failure as Error).stack, JSON.stringify(graph.inspect())]) expect(shown).not.toContain("hunter2");
});

describe("sizes", () => {
  it.each([511, 512, 513, 65_535, MIB - 100])("C25: a disk of %i bytes has the whole sectors that QEMU sees", async (size) => {
    bench.qemuImg("create", "-q", "-f", "qcow2", "@image", "1M");
    const bytes = readFileSync(bench.path("image"));
    bytes.writeBigUInt64BE(BigInt(size), 24);
    writeFileSync(bench.path("image"), bytes);
    const { "virtual-size": seen } = JSON.parse(bench.theirs(wordsOf("info --output=json @image")).stdout) as { "virtual-size": number };
    {
      await using graph = new BlockGraph({ drivers });
      await using disk = await graph.open(bench.path("image"));
      expect(disk.size).toBe(seen);
      expect(await codeOf(disk.write(seen, Buffer.from([9])))).toBe("OUT_OF_RANGE");
      if (seen > 0) await disk.write(seen - 1, Buffer.from([9]));
    }
    bench.qemuImg("check", "-f", "qcow2", "@image");
    bench.qemuImg("convert", "-O", "raw", "@image", "@raw");
    expect(readFileSync(bench.path("raw")).subarray(-1)).toEqual(Buffer.alloc(Math.min(1, seen), 9));
  });

  const CHAINS = [
    { overlay: "0", old: "1M", fresh: "2M" },
    { overlay: "1M", old: "0", fresh: "65k" },
    { overlay: "1000k", old: "513k", fresh: "0" },
    { overlay: "1048064", old: "2097664", fresh: "512" },
    { overlay: "3M", old: "1048064", fresh: "2097664" },
  ];
  it.each(CHAINS)("B15: a rebase of $overlay from $old to $fresh keeps what is seen", async ({ overlay, old, fresh }) => {
    const made = (name: string, size: string, pattern: number): void => {
      bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", `@${name}`, size);
      const bytes = Number.parseInt(size, 10) * (size.endsWith("M") ? MIB : size.endsWith("k") ? 1024 : 1);
      if (bytes > 0) bench.qemuIo(name, "qcow2", `write -P ${pattern} 0 ${bytes}`);
    };
    made("old", old, 1);
    made("new", fresh, 2);
    bench.qemuImg("create", "-q", "-f", "qcow2", "-b", bench.path("old"), "-F", "qcow2", "@overlay", overlay);
    if (overlay !== "0") bench.qemuIo("overlay", "qcow2", "write -P 3 5000 20000");
    bench.qemuImg("convert", "-O", "raw", "@overlay", "@seen");
    expect(await bench.ours(wordsOf("rebase -b @new -F qcow2 @overlay"))).toMatchObject({ exitCode: 0, stderr: "" });
    bench.qemuImg("convert", "-O", "raw", "@overlay", "@after");
    expect(readFileSync(bench.path("after")).equals(readFileSync(bench.path("seen")))).toBe(true);
    bench.qemuImg("check", "@overlay");
  });
});

it("B12: what nobody here knows of a header outlives every rewrite, and so do lazy refcounts", async () => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", "@image", "2M");
  writeFileSync(bench.path("base"), Buffer.alloc(MIB, 1));
  const unknown = Buffer.from("1234567800000005616263646500000000000000", "hex");
  const bytes = readFileSync(bench.path("image"));
  const at = bytes.readUInt32BE(100);
  bytes.copyWithin(at + 16, at, at + 600);
  unknown.copy(bytes, at, 0, 16);
  bytes.writeBigUInt64BE(1n | (1n << 40n), 80);
  writeFileSync(bench.path("image"), bytes);
  const expectKept = (after: string): void => {
    const header = readFileSync(bench.path("image")).subarray(0, 65_536);
    expect({ after, compatible: header.readBigUInt64BE(80), kept: header.includes(unknown.subarray(0, 13)) }).toEqual({
      after,
      compatible: 1n | (1n << 40n),
      kept: true,
    });
  };
  for (const line of [
    "resize @image +1M",
    "snapshot -c one @image",
    "snapshot -a one @image",
    "snapshot -d one @image",
    "amend -o refcount_bits=32 @image",
    "rebase -u -F raw -b @base @image",
    "rebase -u -b  @image",
    "check -r all @image",
  ]) {
    expect(await bench.ours(line.split(" "))).toMatchObject({ exitCode: 0 });
    expectKept(line);
  }
  {
    await using graph = new BlockGraph({ drivers });
    await using disk = await graph.open(bench.path("image"));
    await disk.write(0, Buffer.alloc(100_000, 3));
    await disk.bitmaps.add({ name: "changes", persistent: true });
  }
  expectKept("a bitmap");
  bench.qemuImg("check", "@image");
});

it.each(["metadata", "falloc", "full"])(
  "B13: preallocation %s takes its space in the data file, when made and when grown",
  async (preallocation) => {
    await using graph = new BlockGraph({ drivers, implicitOpen: "allow" });
    const file = bench.path("image");
    const values = { data_file: `${file}.data`, preallocation };
    await graph.create({ driver: "qcow2", filename: file, size: 4 * MIB, values });
    const taken = (name: string): number => statSync(name).blocks * 512;
    const expectPlaced = (size: number): void => {
      expect(statSync(`${file}.data`).size).toBe(size);
      if (preallocation !== "metadata") expect(taken(`${file}.data`)).toBeGreaterThanOrEqual(size);
      expect(taken(file)).toBeLessThan(MIB);
      bench.qemuImg("check", "@image");
    };
    expectPlaced(4 * MIB);
    copyFileSync(file, `${file}.before`);
    expect(await bench.ours(wordsOf(`resize --preallocation=${preallocation} @image 8M`))).toMatchObject({ exitCode: 0 });
    expectPlaced(8 * MIB);
  },
);
