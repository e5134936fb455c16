/** A damaged image in QEMU as well: the same bytes, and a reason wherever the two do not open the same. */

import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockError, BlockGraph, type DriverEntry, fileDriver, rawDriver } from "@coblock/core";
import type { SparseBytes } from "./sparse-bytes.ts";

/** QEMU writes the whole disk out: larger ones are left alone. */
const LARGEST_DISK = 16n * 1024n * 1024n;
const LARGEST_FILE = 2 ** 33;
const TIME_LIMIT_MS = 60_000;

/** Where only one of the two reads the image, and why; what the other one says. */
export interface KnownDifference {
  readonly about: string;
  readonly refuses: "QEMU" | "Coblock";
  readonly words: RegExp;
}

export interface QemuComparison {
  readonly driver: DriverEntry;
  readonly bytes: SparseBytes;
  /** Virtual bytes, by the header. */
  readonly diskSize: bigint;
  /** Found beside the image as `backing.raw`. */
  readonly backing: SparseBytes | undefined;
  readonly known: readonly KnownDifference[];
}

/** Answers which known difference there is; throws for others, and where the bytes are not the same. */
export async function compareInQemu({ driver, bytes, diskSize, backing, known }: QemuComparison): Promise<string | undefined> {
  if (diskSize > LARGEST_DISK || bytes.size > LARGEST_FILE) return "too large to be compared";
  const folder = mkdtempSync(join(tmpdir(), "coblock-fuzz-"));
  try {
    const image = join(folder, "image");
    writeSparse(image, bytes);
    if (backing !== undefined) writeSparse(join(folder, "backing.raw"), backing);
    const raw = join(folder, "image.raw");
    const words = ["convert", "-f", driver.name, "-O", "raw", image, raw];
    const { status, stderr } = spawnSync("qemu-img", words, { encoding: "utf8", timeout: TIME_LIMIT_MS });
    const ours = await readOurs(image, driver);
    if (ours instanceof BlockError && status !== 0) return undefined;
    if (!(ours instanceof BlockError) && status === 0) {
      if (!readFileSync(raw).equals(ours)) throw new Error("QEMU reads other bytes");
      return undefined;
    }
    const [refuses, said] = ours instanceof BlockError ? ["Coblock", ours.message] : ["QEMU", stderr];
    const found = known.find((difference) => difference.refuses === refuses && difference.words.test(said));
    if (found === undefined) throw new Error(`only ${refuses} refuses it: ${said}`);
    return found.about;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The whole disk, or why it cannot be had. */
async function readOurs(image: string, driver: DriverEntry): Promise<Buffer | BlockError> {
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, driver], implicitOpen: "allow" });
  try {
    const disk = await graph.open(image, { driver: driver.name, readOnly: true });
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
