/** The same damaged images in QEMU: the same bytes, and a reason wherever the two do not open the same. */

import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockError, BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { qedDriver } from "@coblock/qed";
import type { FuzzCase } from "./fuzz-case.ts";
import { backingBytes } from "./qed-bases.ts";
import { qedBytes } from "./qed-fuzz.ts";
import type { SparseBytes } from "./sparse-bytes.ts";

/** QEMU writes the whole disk out: larger ones are left alone. */
const LARGEST_DISK = 16 * 1024 * 1024;
const LARGEST_FILE = 2 ** 33;

/** Where only one of the two reads the image, and why; what the other one says. A difference that is not in the list fails. */
const KNOWN_DIFFERENCES: readonly { readonly about: string; readonly refuses: "QEMU" | "Coblock"; readonly words: RegExp }[] = [
  { about: "QEMU makes images with tables of one cluster, and refuses them", refuses: "QEMU", words: /table offset is invalid/ },
  { about: "QEMU takes a header of no clusters, and so the header itself for data", refuses: "Coblock", words: /header size 0 clusters/ },
  {
    about: "of a run of clusters QEMU looks at the first alone, and reads zeros where the others are past the end of the file",
    refuses: "Coblock",
    words: /L2 entry \d+ .* past the end of the file/,
  },
];

/** Answers which known difference there is; throws for others, and where the bytes are not the same. */
export async function compareWithQemu(fuzzCase: FuzzCase): Promise<string | undefined> {
  const bytes = qedBytes(fuzzCase);
  const header = new DataView(new ArrayBuffer(64));
  bytes.read(0, new Uint8Array(header.buffer));
  if (header.getBigUint64(48, true) > LARGEST_DISK || bytes.size > LARGEST_FILE) return "too large to be compared";
  const folder = mkdtempSync(join(tmpdir(), "coblock-fuzz-"));
  try {
    const image = join(folder, "image.qed");
    writeSparse(image, bytes);
    const backing = backingBytes(fuzzCase.base);
    if (backing !== undefined) writeSparse(join(folder, "backing.raw"), backing);
    const raw = join(folder, "image.raw");
    const { status, stderr } = spawnSync("qemu-img", ["convert", "-f", "qed", "-O", "raw", image, raw], { encoding: "utf8" });
    const ours = await readOurs(image);
    if (ours instanceof BlockError && status !== 0) return undefined;
    if (!(ours instanceof BlockError) && status === 0) {
      if (!readFileSync(raw).equals(ours)) throw new Error("QEMU reads other bytes");
      return undefined;
    }
    const [refuses, said] = ours instanceof BlockError ? ["Coblock", ours.message] : ["QEMU", stderr];
    const known = KNOWN_DIFFERENCES.find((difference) => difference.refuses === refuses && difference.words.test(said));
    if (known === undefined) throw new Error(`only ${refuses} refuses it: ${said}`);
    return known.about;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The whole disk, or why it cannot be had. */
async function readOurs(image: string): Promise<Buffer | BlockError> {
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qedDriver], implicitOpen: "allow" });
  try {
    const disk = await graph.open(image, { driver: "qed", readOnly: true });
    const bytes = Buffer.alloc(disk.size);
    if (bytes.length > 0) await disk.read(0, bytes);
    return bytes;
  } catch (error) {
    if (error instanceof BlockError) return error;
    throw error;
  }
}

/** With holes where nothing was written. */
function writeSparse(path: string, bytes: SparseBytes): void {
  writeFileSync(path, "");
  const file = openSync(path, "r+");
  try {
    ftruncateSync(file, bytes.size);
    for (const { offset, page } of bytes.pages()) writeSync(file, page, 0, Math.min(page.length, bytes.size - offset), offset);
  } finally {
    closeSync(file);
  }
}
