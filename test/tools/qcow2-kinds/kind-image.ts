/** An image of one kind, which the real programs and ours make, change and look at in turns, by the same words. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "@coblock/cli";
import { BlockGraph, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { SeededRandom } from "@coblock/testing";
import type { Qcow2Kind } from "./kinds.ts";

export type Side = "theirs" | "ours";

const SECTOR = 512;
const PASSPHRASE = "open";
const SECRET = ["--object", `secret,id=sec0,data=${PASSPHRASE}`];
/** Clusters of a disk, unless they are large. */
const MOST_CLUSTERS = 200;
const MOST_BYTES = 5 * 1024 * 1024;
const MOST_TRIES = 50;
const BITMAP = "changes";

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What both programs tell of one image. */
export interface Told {
  readonly theirs: string;
  readonly ours: string;
}

export class KindImage implements Disposable {
  readonly kind: Qcow2Kind;
  /** What the disk must hold. */
  readonly model: Buffer;
  readonly #random: SeededRandom;
  #hasBitmap = false;
  /** Clusters that something was written to: QEMU writes no compressed ones over them. */
  readonly #touched: Set<number> = new Set();
  readonly #folder: string = mkdtempSync(join(tmpdir(), "coblock-kinds-"));

  constructor(kind: Qcow2Kind, seed: number) {
    this.kind = kind;
    this.#random = new SeededRandom(seed);
    this.model = Buffer.alloc(Math.min(kind.clusterSize * MOST_CLUSTERS, MOST_BYTES) - 3 * SECTOR);
  }

  async make(side: Side): Promise<void> {
    this.#makeBacking();
    await this.run(side, "qemu-img", [
      "create",
      "-q",
      ...this.#secret,
      "-f",
      "qcow2",
      ...this.#creation,
      this.#path,
      `${this.model.length}`,
    ]);
  }

  /** Narrow refcounts have no room for it, least of all where compressed clusters share a cluster; images with data files have none. */
  async snapshot(side: Side, name: string): Promise<void> {
    const { refcountBits, dataFile, encryption, compression } = this.kind;
    const hasRoom = refcountBits > (compression === "none" ? 1 : 8);
    if (hasRoom && dataFile === "none" && encryption !== "aes") await this.run(side, "qemu-img", ["snapshot", ...this.#found, "-c", name]);
  }

  /** It needs version 3. */
  async addBitmap(side: Side): Promise<void> {
    this.#hasBitmap = this.kind.version === 3 && this.kind.encryption !== "aes";
    if (this.#hasBitmap) await this.run(side, "qemu-img", ["bitmap", "--add", "-g", "4k", ...this.#opened, BITMAP]);
  }

  /** Requests of all kinds that this image can have, in one session. */
  async write(side: Side): Promise<void> {
    const commands = Array.from({ length: 12 }, () => this.#request());
    const output = await this.run(side, "qemu-io", [...commands.flatMap((command) => ["-c", command]), ...this.#opened]);
    if (/failed|rror/.test(output)) throw new Error(`${side}: ${output}`);
  }

  /** The whole disk. */
  async content(side: Side): Promise<Buffer> {
    const raw = join(this.#folder, `${side}.raw`);
    await this.run(side, "qemu-img", ["convert", ...this.#opened, "-O", "raw", raw]);
    return readFileSync(raw);
  }

  /** What `qemu-img` tells of the image, from both programs, by the command's words. */
  async told(): Promise<Readonly<Record<string, Told>>> {
    const reports: Readonly<Record<string, readonly string[]>> = {
      info: ["info", this.#path],
      "info as JSON": ["info", "--output=json", this.#path],
      check: ["check", ...this.#opened],
      snapshots: ["snapshot", "-l", ...this.#found],
    };
    const told: Record<string, Told> = {};
    for (const [name, words] of Object.entries(reports))
      told[name] = { theirs: await this.run("theirs", "qemu-img", words), ours: await this.run("ours", "qemu-img", words) };
    const map = ["map", "--output=json", ...this.#opened];
    told["map"] = { theirs: await this.run("theirs", "qemu-img", map), ours: await this.run("ours", "qemu-img", map) };
    return told;
  }

  /** What has changed by the bitmap, if there is one: as QEMU serves it, and as our library tells. */
  async dirty(): Promise<{ readonly theirs: readonly object[]; readonly ours: readonly object[] }> {
    if (!this.#hasBitmap) return { theirs: [], ours: [] };
    const folder = mkdtempSync(join(this.#folder, "served-"));
    const [socket, pidFile] = [join(folder, "socket"), join(folder, "pid")];
    const serving = ["--fork", "-r", "-B", BITMAP, `--pid-file=${pidFile}`, `--socket=${socket}`, ...this.#opened];
    execFileSync("qemu-nbd", serving, { stdio: ["ignore", "ignore", "pipe"] });
    const pid = readFileSync(pidFile, "latin1").trim();
    const options = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${BITMAP}`;
    const runs = JSON.parse(execFileSync("qemu-img", ["map", "--output=json", "--image-opts", options], { encoding: "utf8" })) as {
      readonly start: number;
      readonly length: number;
      readonly data: boolean;
    }[];
    // The server ends when its client has left, and holds the image's locks until then.
    execFileSync("tail", [`--pid=${pid}`, "--sleep-interval=0.02", "--follow", "/dev/null"]);
    const theirs = runs.flatMap(({ start, length, data }) => (data ? [] : [{ offset: start, length }]));
    await using graph = new BlockGraph({
      drivers: [fileDriver, rawDriver, qcow2Driver],
      implicitOpen: "allow",
      secrets: { sec0: PASSPHRASE },
    });
    const encrypt = this.kind.encryption === "none" ? {} : { encrypt: { keySecret: "sec0" } };
    await using disk = await graph.open({ driver: "qcow2", file: this.#path, ...encrypt }, { readOnly: true, forceShare: true });
    return { theirs, ours: [...(await disk.bitmaps.get(BITMAP)).extents()] };
  }

  async run(side: Side, program: "qemu-img" | "qemu-io", words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = side === "theirs" ? runTheirs(program, words) : await runOurs(program, words);
    if (status !== 0) throw new Error(`${side}: ${program} ${words.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  get #path(): string {
    return join(this.#folder, "image");
  }

  get #secret(): readonly string[] {
    return this.kind.encryption === "none" ? [] : SECRET;
  }

  /** The words that open the image. */
  get #opened(): readonly string[] {
    if (this.kind.encryption === "none") return ["-f", "qcow2", this.#path];
    return [...SECRET, "--image-opts", `driver=qcow2,file.filename=${this.#path},encrypt.key-secret=sec0`];
  }

  /** The same for commands that find out the format by themselves. */
  get #found(): readonly string[] {
    return this.kind.encryption === "none" ? [this.#path] : this.#opened;
  }

  get #creation(): readonly string[] {
    const { clusterSize, refcountBits, version, extendedL2, dataFile, compression, encryption, backing, lazyRefcounts } = this.kind;
    const options = [
      `cluster_size=${clusterSize}`,
      `refcount_bits=${refcountBits}`,
      `compat=${version === 2 ? "0.10" : "1.1"}`,
      `extended_l2=${extendedL2 ? "on" : "off"}`,
      `lazy_refcounts=${lazyRefcounts ? "on" : "off"}`,
      ...(dataFile === "none" ? [] : [`data_file=${this.#path}.data`, `data_file_raw=${dataFile === "raw" ? "on" : "off"}`]),
      ...(compression === "zstd" ? ["compression_type=zstd"] : []),
      ...(encryption === "none" ? [] : [`encrypt.format=${encryption}`, "encrypt.key-secret=sec0"]),
      ...(encryption === "luks" ? ["encrypt.iter-time=1"] : []),
      ...(backing === "none" ? [] : [`backing_file=${this.#path}.base`, `backing_fmt=${backing}`]),
    ];
    return ["-o", options.join(",")];
  }

  /** Shorter than the disk, and no whole number of clusters. */
  #makeBacking(): void {
    const { backing } = this.kind;
    if (backing === "none") return;
    const base = `${this.#path}.base`;
    const content = Buffer.from(this.#random.bytes(Math.floor(this.model.length / 2 / SECTOR) * SECTOR));
    content.copy(this.model);
    writeFileSync(`${base}.raw`, content);
    execFileSync("qemu-img", ["convert", "-f", "raw", "-O", backing, `${base}.raw`, base]);
  }

  /** One request in the words of qemu-io; the model has it too. */
  #request(): string {
    const { clusterSize, compression } = this.kind;
    const choice = this.#random.below(10);
    if (compression !== "none" && choice >= 7) {
      const cluster = this.#random.below(Math.floor(this.model.length / clusterSize));
      return this.#fill(this.#touched.has(cluster) ? "write" : "write -c", cluster * clusterSize, clusterSize);
    }
    const unit = this.kind.encryption === "aes" || choice === 0 ? SECTOR : 1;
    const offset = this.#random.below(this.model.length / unit) * unit;
    const longest = this.#random.chance(0.3) ? 20 * clusterSize : 2 * clusterSize;
    const length = Math.min(this.model.length - offset, unit * (1 + this.#random.below(Math.ceil(longest / unit))));
    if (choice < 6) return this.#fill("write", offset, length);
    this.#touch(0, offset, length);
    return `write -z ${choice === 6 ? "-u " : ""}${offset} ${length}`;
  }

  #fill(command: string, offset: number, length: number): string {
    const pattern = this.#random.between(1, 255);
    this.#touch(pattern, offset, length);
    return `${command} -P ${pattern} ${offset} ${length}`;
  }

  #touch(pattern: number, offset: number, length: number): void {
    const { clusterSize } = this.kind;
    this.model.fill(pattern, offset, offset + length);
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + length; cluster++) this.#touched.add(cluster);
  }
}

/** The real tool gives up now and then when it cannot measure how fast it derives keys: then it is run again. */
function runTheirs(program: string, words: readonly string[]): Outcome {
  for (let tries = 1; ; tries++) {
    const outcome = spawnSync(program, words, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
    if (!outcome.stderr.includes("Unable to get accurate CPU usage") || tries === MOST_TRIES) return outcome;
  }
}

async function runOurs(program: "qemu-img" | "qemu-io", words: readonly string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const host = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  };
  const status = await main(words, host, { kind: program, name: program });
  return { status, ...written };
}
