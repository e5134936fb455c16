/** 64 workers on one qcow2 image, with snapshots, growth, discards and changes of its caches among their requests; and what must be true of it. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlockError, BlockGraph, type BlockNode, type DescribedNode, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom } from "@coblock/testing";
import type { Configuration } from "./configurations.ts";
import { Gate } from "./gate.ts";

export interface StressOptions {
  readonly configuration: Configuration;
  readonly seed: number;
  /** Whether another request begins, asked with the number of those that have begun. */
  readonly goesOn: (begun: number) => boolean;
}

/** What was done. */
export interface StressOutcome {
  readonly requests: number;
  readonly snapshots: number;
  readonly growths: number;
  readonly reopenings: number;
}

const WORKERS = 64;
const PASSPHRASE = "correct horse";
const SECRET = ["--object", `secret,id=sec0,data=${PASSPHRASE}`] as const;
/** Two clusters of any size up to 8 KiB have owners in turn; larger ones have several owners. */
const STRIPE = 3 * 512;
const PRIVATE = 192 * 1024;
const SHARED_LENGTH = 8 * 1024 * 1024;
const SIZE = SHARED_LENGTH + WORKERS * PRIVATE;
const MOST_SNAPSHOTS = 3;
const GROWTH = 3 * 65536 + 512;

/** Throws at the first wrong byte, and where QEMU finds an error or a leak in what is left. */
export async function stress(options: StressOptions): Promise<StressOutcome> {
  const folder = mkdtempSync(join(tmpdir(), "coblock-stress-"));
  try {
    const run = new Stress(options, folder);
    return await run.run();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Stress {
  readonly #options: StressOptions;
  readonly #folder: string;
  readonly #file: string;
  readonly #random: SeededRandom;
  readonly #gate: Gate = new Gate();
  readonly #kept: Map<string, Buffer> = new Map();
  readonly #counts = { requests: 0, snapshots: 0, growths: 0, reopenings: 0 };
  #model: Buffer = Buffer.alloc(SIZE);

  constructor(options: StressOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#file = join(folder, "disk.qcow2");
    this.#random = new SeededRandom(options.seed);
  }

  async run(): Promise<StressOutcome> {
    this.#create();
    {
      await using graph = this.#graph();
      const disk = await graph.open(this.#described());
      const workers = Array.from({ length: WORKERS }, (_, worker) => this.#work(disk, worker));
      const controller = this.#options.configuration.snapshots ? this.#control(disk) : this.#controlCaches(disk);
      const ends = await Promise.allSettled([...workers, controller]);
      for (const end of ends) if (end.status === "rejected") throw end.reason;
      await this.#compareAll(disk);
    }
    await this.#judge();
    return this.#counts;
  }

  #create(): void {
    const { options, backing } = this.#options.configuration;
    const base = join(this.#folder, "base");
    if (backing !== undefined) {
      execFileSync("qemu-img", ["create", "-q", "-f", backing, base, String(SIZE / 2)]);
      execFileSync("qemu-io", ["-f", backing, "-c", `write -q -P 77 0 ${SIZE / 2}`, base]);
      this.#model.fill(77, 0, SIZE / 2);
    }
    const over = backing === undefined ? [] : ["-b", base, "-F", backing];
    const chosen = options === "" ? [] : ["-o", options];
    const words = ["create", "-q", ...SECRET, "-f", "qcow2", ...chosen, ...over, this.#file, String(SIZE)];
    for (;;) {
      const { status, stderr } = spawnSync("qemu-img", words, { encoding: "utf8" });
      if (status === 0) return;
      // It gives up now and then when it cannot measure how fast it derives keys.
      if (!stderr.includes("Unable to get accurate CPU usage")) throw new Error(stderr);
    }
  }

  #described(): DescribedNode {
    const { l2CacheSize, l2CacheEntrySize, cacheCleanInterval, encrypted = false } = this.#options.configuration;
    const caches = { l2CacheSize, l2CacheEntrySize, cacheCleanInterval };
    const given = Object.fromEntries(Object.entries(caches).filter(([, value]) => value !== undefined));
    return { driver: "qcow2", file: this.#file, ...(encrypted ? { encrypt: { keySecret: "sec0" } } : {}), ...given };
  }

  /** Requests in places that are this worker's own, in clusters that are not. */
  async #work(disk: BlockNode, worker: number): Promise<void> {
    const random = new SeededRandom(this.#options.seed * 1000 + worker);
    while (this.#options.goesOn(this.#counts.requests)) {
      this.#counts.requests++;
      await this.#gate.pass(() => (random.chance(0.5) ? this.#inStripe(disk, worker, random) : this.#inPrivate(disk, worker, random)));
      // A turn for the others, as between two requests of a guest.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #inStripe(disk: BlockNode, worker: number, random: SeededRandom): Promise<void> {
    const stripes = Math.floor(SHARED_LENGTH / STRIPE / WORKERS);
    const start = (random.below(stripes) * WORKERS + worker) * STRIPE;
    const offset = start + random.below(STRIPE - 1);
    return this.#request(disk, offset, 1 + random.below(start + STRIPE - offset), random);
  }

  #inPrivate(disk: BlockNode, worker: number, random: SeededRandom): Promise<void> {
    const start = SHARED_LENGTH + worker * PRIVATE;
    const offset = start + random.below(PRIVATE / 512) * 512;
    return this.#request(disk, offset, 512 * (1 + random.below((start + PRIVATE - offset) / 512)), random);
  }

  async #request(disk: BlockNode, offset: number, length: number, random: SeededRandom): Promise<void> {
    const model = this.#model.subarray(offset, offset + length);
    const kind = random.below(10);
    if (kind < 3) return this.#read(disk, offset, model);
    if (kind === 3) {
      await disk.writeZeroes(offset, length, { mayUnmap: random.chance(0.5) });
      model.fill(0);
    } else if (kind === 4) await this.#discard(disk, offset, model);
    else if (kind === 5 && random.chance(0.1)) await disk.flush();
    else {
      const bytes = Buffer.alloc(length, 1 + random.below(250));
      await disk.write(offset, bytes);
      bytes.copy(model);
    }
  }

  async #read(disk: BlockNode, offset: number, model: Buffer): Promise<void> {
    const bytes = Buffer.alloc(model.length, 0xee);
    await disk.read(offset, bytes);
    if (!bytes.equals(model)) throw new Error(`${model.length} bytes at ${offset} are wrong`);
  }

  /** Each byte is as before, or zero. */
  async #discard(disk: BlockNode, offset: number, model: Buffer): Promise<void> {
    await disk.discard(offset, model.length);
    const bytes = Buffer.alloc(model.length);
    await disk.read(offset, bytes);
    for (const [index, byte] of bytes.entries())
      if (byte !== 0 && byte !== model[index]) throw new Error(`the byte at ${offset + index} is wrong after a discard`);
    bytes.copy(model);
  }

  async #controlCaches(disk: BlockNode): Promise<void> {
    for (let round = 1; this.#options.goesOn(this.#counts.requests); round++) {
      await this.#pause(400);
      await this.#reopen(disk, round);
    }
  }

  async #control(disk: BlockNode): Promise<void> {
    for (let round = 1; this.#options.goesOn(this.#counts.requests); round++) {
      await this.#pause(150);
      switch (this.#random.below(6)) {
        case 0:
        case 1:
          await this.#createSnapshot(disk, `s${round}`);
          break;
        case 2:
          await this.#applySnapshot(disk);
          break;
        case 3:
          await this.#deleteSnapshot(disk);
          break;
        case 4:
          await this.#grow(disk);
          break;
        default:
          await this.#reopen(disk, round);
      }
    }
  }

  /** Until so many more requests have begun. */
  async #pause(requests: number): Promise<void> {
    const until = this.#counts.requests + requests;
    while (this.#counts.requests < until && this.#options.goesOn(this.#counts.requests))
      await new Promise((resolve) => setImmediate(resolve));
  }

  /** Every other one beside requests: then what it holds is known to the image alone. */
  async #createSnapshot(disk: BlockNode, name: string): Promise<void> {
    if (disk.snapshots.list().length >= MOST_SNAPSHOTS) return;
    const create = async (): Promise<void> => {
      await allowing(["OUT_OF_RANGE", "NO_SPACE", "UNSUPPORTED_FEATURE"], async () => {
        await disk.snapshots.create(name);
        this.#counts.snapshots++;
      });
    };
    if (this.#random.chance(0.5)) return create();
    await this.#gate.alone(async () => {
      await create();
      if (disk.snapshots.list().some((each) => each.name === name)) this.#kept.set(name, Buffer.from(this.#model));
    });
  }

  async #applySnapshot(disk: BlockNode): Promise<void> {
    const name = [...this.#kept.keys()].at(this.#random.below(4));
    const content = name === undefined ? undefined : this.#kept.get(name);
    if (name === undefined || content === undefined) return;
    await this.#gate.alone(async () => {
      await this.#compareAll(disk);
      const refused = await allowing(["OUT_OF_RANGE", "NO_SPACE", "UNSUPPORTED_FEATURE"], () => disk.snapshots.apply(name));
      if (!refused) this.#model = Buffer.from(content);
      await this.#compareAll(disk);
    });
  }

  async #deleteSnapshot(disk: BlockNode): Promise<void> {
    const name = disk.snapshots.list().at(this.#random.below(3))?.name;
    if (name === undefined) return;
    await disk.snapshots.delete(name);
    this.#kept.delete(name);
  }

  async #grow(disk: BlockNode): Promise<void> {
    const { size } = disk;
    const refused = await allowing(["UNSUPPORTED_FEATURE"], () => disk.resize(size + GROWTH));
    if (refused) return;
    this.#counts.growths++;
    // No worker is out there: requests keep to the places that they know.
    await this.#gate.alone(async () => {
      this.#model = Buffer.concat([this.#model, Buffer.alloc(GROWTH)]);
    });
  }

  async #reopen(disk: BlockNode, round: number): Promise<void> {
    const clusters = [64, 4096, 65536][round % 3] ?? 64;
    await allowing(["INVALID_OPTION"], () => disk.reopen({ l2CacheSize: clusters * 512, cacheCleanInterval: round % 2 }));
    this.#counts.reopenings++;
  }

  async #compareAll(disk: BlockNode): Promise<void> {
    if (disk.size !== this.#model.length) throw new Error(`the disk has ${disk.size} bytes, not ${this.#model.length}`);
    await this.#read(disk, 0, this.#model);
  }

  /** The image was closed with whatever was retired: QEMU finds nothing wrong, no leak, and the same bytes. */
  async #judge(): Promise<void> {
    execFileSync("qemu-img", ["check", "-q", ...this.#imageWords()]);
    this.#compareWithQemu([], this.#model);
    for (const [name, content] of this.#kept) {
      this.#compareWithQemu(["-l", `snapshot.name=${name}`], content);
      await this.#compareSnapshot(name, content);
    }
  }

  async #compareSnapshot(name: string, expected: Buffer): Promise<void> {
    await using graph = this.#graph();
    await using disk = await graph.open({ ...this.#described(), snapshot: { name } } as DescribedNode, { readOnly: true });
    const found = Buffer.alloc(disk.size);
    await disk.read(0, found);
    if (!found.equals(expected)) throw new Error(`snapshot ${name} has other bytes`);
  }

  #graph(): BlockGraph {
    return new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver], secrets: { sec0: PASSPHRASE }, implicitOpen: "allow" });
  }

  #imageWords(): readonly string[] {
    if (this.#options.configuration.encrypted !== true) return ["-f", "qcow2", this.#file];
    return [...SECRET, "--image-opts", `driver=qcow2,file.filename=${this.#file},encrypt.key-secret=sec0`];
  }

  #compareWithQemu(words: readonly string[], expected: Buffer): void {
    const raw = join(this.#folder, "content");
    execFileSync("qemu-img", ["convert", ...words, "-O", "raw", ...this.#imageWords(), raw]);
    // A snapshot is shown by QEMU with today's size, which may be less than it had.
    const found = readFileSync(raw);
    const length = Math.min(found.length, expected.length);
    if (!found.subarray(0, length).equals(expected.subarray(0, length)))
      throw new Error(`QEMU reads other bytes (${words.join(" ") || "the disk"})`);
  }
}

/** Whether it was refused with one of the codes. */
async function allowing(codes: readonly string[], work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof BlockError && codes.includes(error.code)) return true;
    throw error;
  }
}
