/** Random lines about one qcow2 image and the files around it: made, written, given snapshots and bitmaps, resized, rebased, committed, amended, checked. */

import { SeededRandom } from "@coblock/testing";
import type { Line } from "./sequence-programs.ts";

/** A line, and what is true when it has succeeded. */
export interface Step {
  readonly line: Line;
  readonly succeeded?: () => void;
}

const SECTOR = 512;
const KIB = 1024;
const BASES = ["base.raw", "other.qcow2"] as const;

/** Lines that change nothing of the disk. */
const LOOKS: readonly string[] = ["check", "info", "compare", "convert"];

type Base = (typeof BASES)[number];

/** The disk as far as the next line needs to know it. */
interface Disk {
  size: number;
  clusterSize: number;
  backing: Base | undefined;
  snapshots: string[];
  bitmaps: string[];
  /** Snapshots have another size: qemu-img 7.2 then shows them with that of the disk. */
  resized: boolean;
  /** Version 2: qemu-img 7.2 loses zeros when such an image is rebased that had no backing file. */
  isOld: boolean;
  /** With subclusters: what qemu-img 7.2 cut off of the last cluster of such a disk is there again when it grows. */
  isExtended: boolean;
}

export class Sequence {
  readonly #random: SeededRandom;
  readonly #disk: Disk = {
    size: 0,
    clusterSize: 65_536,
    backing: undefined,
    snapshots: [],
    bitmaps: [],
    resized: false,
    isOld: false,
    isExtended: false,
  };
  #names = 0;
  /** No space has become free: what qemu-img 7.2 preallocates there shows what was there before. */
  #isFresh = true;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** The files that come before the disk, and the disk. */
  *beginning(): Generator<Step> {
    const sizes = BASES.map(() => this.#size());
    yield img("create", "-q", "-f", "raw", "@base.raw", String(sizes[0]));
    yield img("create", "-q", "-f", "qcow2", "@other.qcow2", String(sizes[1]));
    yield io("raw", "base.raw", [...this.#writes(sizes[0] ?? 0, 3)]);
    yield io("qcow2", "other.qcow2", [...this.#writes(sizes[1] ?? 0, 3)]);
    yield this.#create();
  }

  /** One more. */
  next(): Step {
    const makers = [
      () => this.#requests(),
      () => this.#requests(),
      () => this.#requests(),
      () => this.#snapshot(),
      () => this.#snapshot(),
      () => this.#resize(),
      () => this.#resize(),
      () => this.#rebase(),
      () => this.#commit(),
      () => this.#bitmap(),
      () => this.#bitmap(),
      () => this.#amend(),
      () => this.#look(),
      () => this.#convert(),
    ];
    const step = this.#random.pick(makers)();
    this.#isFresh &&= LOOKS.includes(step.line.words[0] ?? "");
    return step;
  }

  #create(): Step {
    const disk = this.#disk;
    const random = this.#random;
    const extended = random.chance(0.2);
    const old = !extended && random.chance(0.15);
    const clusterSize = extended ? random.pick([16_384, 65_536]) : random.pick([512, 4096, 65_536, 65_536, 2 ** 20]);
    const options = [`cluster_size=${clusterSize}`];
    if (extended) options.push("extended_l2=on");
    disk.isOld = old;
    disk.isExtended = extended;
    if (old) options.push("compat=0.10");
    else if (random.chance(0.2)) options.push(`refcount_bits=${random.pick([8, 64])}`);
    if (!old && random.chance(0.15)) options.push("lazy_refcounts=on");
    if (random.chance(0.15)) options.push(`preallocation=${random.pick(["metadata", "falloc", "full"])}`);
    const dataFile = random.chance(0.15);
    if (dataFile) options.push("data_file=@disk.data");
    if (dataFile && random.chance(0.3)) options.push("data_file_raw=on");
    const backing = random.chance(0.5) ? random.pick(BASES) : undefined;
    const size = this.#size();
    const over = backing === undefined ? [] : ["-b", `@${backing}`, "-F", formatOf(backing)];
    return img("create", "-q", "-f", "qcow2", "-o", options.join(","), ...over, "@disk.qcow2", String(size)).and(() =>
      Object.assign(disk, { size, clusterSize, backing }),
    );
  }

  #requests(): Step {
    return io("qcow2", "disk.qcow2", [...this.#writes(this.#disk.size, this.#random.between(1, 4))]);
  }

  *#writes(size: number, count: number): Generator<string> {
    const random = this.#random;
    for (let done = 0; done < count; done++) {
      const unit = random.pick([1, SECTOR, this.#disk.clusterSize]);
      const start = random.below(Math.max(1, Math.floor(size / unit))) * unit;
      const length = Math.min(size - start, random.between(1, 4) * random.pick([unit, SECTOR, this.#disk.clusterSize]));
      const command = random.pick([
        `write -P ${random.between(1, 255)}`,
        `write -P ${random.between(1, 255)}`,
        "write -z",
        "write -z -u",
        "discard",
      ]);
      if (length > 0) yield `${command} ${start} ${length}`;
    }
  }

  #snapshot(): Step {
    const disk = this.#disk;
    const known = this.#random.chance(0.9) && disk.snapshots.length > 0 ? this.#random.pick(disk.snapshots) : "nobody";
    switch (disk.snapshots.length === 0 ? 0 : this.#random.below(4)) {
      case 0: {
        const name = `s${this.#names++}`;
        return img("snapshot", "-c", name, "@disk.qcow2").and(() => disk.snapshots.push(name));
      }
      case 1:
        return img("snapshot", "-a", known, "@disk.qcow2");
      case 2:
        return img("snapshot", "-d", known, "@disk.qcow2").and(() => (disk.snapshots = disk.snapshots.filter((name) => name !== known)));
      default:
        return img("snapshot", "-l", "@disk.qcow2");
    }
  }

  #resize(): Step {
    const size = Math.max(this.#size(), this.#disk.isExtended ? this.#disk.size : 0);
    const shrink = this.#random.chance(0.7) ? ["--shrink"] : [];
    const preallocation =
      this.#isFresh && this.#random.chance(0.5) ? [`--preallocation=${this.#random.pick(["metadata", "falloc", "full"])}`] : [];
    return img("resize", "-q", "-f", "qcow2", ...shrink, ...preallocation, "@disk.qcow2", String(size)).and(() =>
      Object.assign(this.#disk, { size, resized: true }),
    );
  }

  #rebase(): Step {
    if (this.#disk.isOld) return this.#look();
    const backing = this.#random.chance(0.25) ? undefined : this.#random.pick(BASES);
    const over = backing === undefined ? ["-b", ""] : ["-b", `@${backing}`, "-F", formatOf(backing)];
    return img("rebase", "-f", "qcow2", ...over, "@disk.qcow2").and(() => (this.#disk.backing = backing));
  }

  #commit(): Step {
    return img("commit", "-q", "-f", "qcow2", ...(this.#random.chance(0.3) ? ["-d"] : []), "@disk.qcow2");
  }

  #bitmap(): Step {
    const disk = this.#disk;
    const known = this.#random.chance(0.9) && disk.bitmaps.length > 0 ? this.#random.pick(disk.bitmaps) : "nobody";
    const words = (...action: readonly string[]) => ["bitmap", ...action, "-f", "qcow2", "@disk.qcow2", known];
    switch (disk.bitmaps.length === 0 ? 0 : this.#random.below(6)) {
      case 0:
      case 1: {
        const name = `b${this.#names++}`;
        const granularity = this.#random.chance(0.5) ? ["-g", this.#random.pick(["512", "4k", "64k", "1M"])] : [];
        return img("bitmap", "--add", ...granularity, "-f", "qcow2", "@disk.qcow2", name).and(() => disk.bitmaps.push(name));
      }
      case 2:
        return img(...words("--remove")).and(() => (disk.bitmaps = disk.bitmaps.filter((name) => name !== known)));
      case 3:
        return img(...words("--clear"));
      case 4:
        return img(...words(this.#random.pick(["--enable", "--disable"])));
      default:
        return img(...words("--merge", this.#random.pick(disk.bitmaps)));
    }
  }

  #amend(): Step {
    // An image does not lose its bitmaps by becoming one of version 2.
    const old = this.#disk.bitmaps.length === 0 ? ["compat=0.10"] : [];
    const option = this.#random.pick([
      ...old,
      "compat=1.1",
      "refcount_bits=8",
      "refcount_bits=16",
      "refcount_bits=64",
      "lazy_refcounts=on",
      "lazy_refcounts=off",
    ]);
    return img("amend", "-q", "-f", "qcow2", "-o", option, "@disk.qcow2");
  }

  #look(): Step {
    // A repair by qemu-img 7.2 drops the snapshots of an image with bitmaps.
    const repair = this.#disk.bitmaps.length > 0 ? [] : [img("check", "-q", "-r", "all", "-f", "qcow2", "@disk.qcow2")];
    return this.#random.pick([
      img("check", "-f", "qcow2", "@disk.qcow2"),
      ...repair,
      img("info", "-f", "qcow2", "@disk.qcow2"),
      img("compare", "@disk.qcow2", `@${this.#random.pick(BASES)}`),
    ]);
  }

  #convert(): Step {
    const { snapshots } = this.#disk;
    const from = snapshots.length > 0 && !this.#disk.resized && this.#random.chance(0.3) ? ["-l", this.#random.pick(snapshots)] : [];
    const how = this.#random.pick([
      [],
      ["-c"],
      ["-o", "cluster_size=4k"],
      ["-o", "extended_l2=on"],
      ["-o", "preallocation=metadata"],
      ["-S", "0"],
    ]);
    return img("convert", "-q", "-f", "qcow2", "-O", "qcow2", ...from, ...how, "@disk.qcow2", "@copy.qcow2");
  }

  /** Bytes; whole sectors. */
  #size(): number {
    return this.#random.pick([
      this.#random.between(1, 4096) * SECTOR,
      this.#random.between(1, 48) * 64 * KIB,
      this.#random.between(1, 3) * KIB * KIB,
    ]);
  }
}

function formatOf(base: Base): string {
  return base === "base.raw" ? "raw" : "qcow2";
}

/** A step that `and` can be told what it changes. */
interface NewStep extends Step {
  and(succeeded: () => unknown): Step;
}

function img(...words: readonly string[]): NewStep {
  const line: Line = { program: "qemu-img", words };
  return { line, and: (succeeded) => ({ line, succeeded: () => void succeeded() }) };
}

function io(format: string, file: string, commands: readonly string[]): Step {
  return { line: { program: "qemu-io", words: ["-f", format, ...commands.flatMap((command) => ["-c", command]), `@${file}`] } };
}
