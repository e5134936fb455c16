/** Cases made by chance: requests of every kind, many at a time, against the model. The seed is in the name of the case. */

import { SeededRandom } from "../seeded-random.ts";
import { storesWrites } from "./address-cases.ts";
import { type Change, SECTOR_SIZE } from "./disk-model.ts";
import { patternOf } from "./patterns.ts";
import type { Rig } from "./rig.ts";
import { allSucceed } from "./settle.ts";
import { expectTruthful } from "./status-cases.ts";
import type { CaseSpec, Trial } from "./trial.ts";
import { noteDiscard } from "./zero-cases.ts";

const SEEDS = [1, 2, 3, 4];
const ROUNDS = 30;

export const randomCases: readonly CaseSpec[] = SEEDS.map((seed) => ({
  name: `random requests, seed ${seed}`,
  applies: storesWrites,
  run: (trial) => new RandomRun(trial, seed).run(),
}));

class RandomRun {
  readonly #trial: Trial;
  readonly #seed: number;
  readonly #random: SeededRandom;
  #tag = 0;

  constructor(trial: Trial, seed: number) {
    this.#trial = trial;
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
  }

  async run(): Promise<void> {
    const { subject } = this.#trial;
    const withBacking = subject.backing === true && this.#random.chance(0.7);
    const backing = patternOf(90, 0, this.#random.below(2 * subject.diskSize));
    const rig = await this.#trial.make({ seed: this.#seed, ...(withBacking ? { backing } : {}) });
    for (let round = 0; round < ROUNDS; round++) {
      if (this.#random.chance(0.6)) await this.#disjoint(rig);
      else await this.#overlapping(rig);
      await rig.expectAll(`seed ${this.#seed}, round ${round}`);
      if (this.#random.chance(0.2)) await rig.flush();
      if (this.#random.chance(0.1)) await expectTruthful(rig);
      if (this.#random.chance(0.1)) await rig.reopen();
    }
  }

  /** Requests that share no byte: what each leaves is known. */
  async #disjoint(rig: Rig): Promise<void> {
    const cuts = [...Array(this.#random.between(2, 9)).keys()]
      .map(() => this.#random.below(rig.node.size + 1))
      .sort((left, right) => left - right);
    const requests: Promise<void>[] = [];
    for (const [index, offset] of cuts.entries()) {
      const end = cuts[index + 1];
      if (end === undefined || end === offset) continue;
      const length = this.#random.chance(0.5) ? Math.min(end - offset, this.#random.between(1, 2000)) : end - offset;
      requests.push(this.#request(rig, offset, length));
    }
    if (this.#random.chance(0.2)) requests.push(rig.node.flush());
    await allSucceed(requests);
  }

  #request(rig: Rig, offset: number, length: number): Promise<void> {
    switch (this.#random.below(6)) {
      case 0:
        return rig.expectRange(offset, length, `seed ${this.#seed}, read of ${length} bytes at ${offset}`);
      case 1:
        return rig.writeZeroes(offset, length, { mayUnmap: this.#random.chance(0.5) });
      case 2:
        return this.#discard(rig, offset, length);
      case 3:
        return this.#writeCompressed(rig, offset, length);
      default:
        return this.#random.chance(0.5) ? rig.writePattern(this.#tag++, offset, length) : rig.write(offset, this.#random.bytes(length));
    }
  }

  /** Whole sectors, so that the model's uncertainty is that of sectors. */
  async #discard(rig: Rig, offset: number, length: number): Promise<void> {
    const start = Math.ceil(offset / SECTOR_SIZE) * SECTOR_SIZE;
    const end = Math.floor((offset + length) / SECTOR_SIZE) * SECTOR_SIZE;
    if (start >= end) return;
    await rig.node.discard(start, end - start);
    noteDiscard(rig, start, end - start);
  }

  /** One whole cluster of the range, if there is one. */
  async #writeCompressed(rig: Rig, offset: number, length: number): Promise<void> {
    const { clusterSize } = rig.subject;
    const start = Math.ceil(offset / clusterSize) * clusterSize;
    if (start + clusterSize > offset + length) return rig.writePattern(this.#tag++, offset, length);
    const bytes = patternOf(this.#tag++, start, clusterSize);
    await rig.node.writeCompressed(start, bytes);
    rig.model.write(start, bytes);
  }

  /** Writes of whole sectors that meet each other, and reads beside them. */
  async #overlapping(rig: Rig): Promise<void> {
    const sectors = Math.floor(rig.node.size / SECTOR_SIZE);
    const reach = Math.min(sectors, Math.ceil((4 * rig.subject.clusterSize) / SECTOR_SIZE));
    const base = this.#random.below(sectors - reach + 1);
    const changes = [...Array(this.#random.between(2, 6)).keys()].map((): Change => {
      const first = base + this.#random.below(reach);
      const offset = first * SECTOR_SIZE;
      const length = this.#random.between(1, base + reach - first) * SECTOR_SIZE;
      return { offset, bytes: this.#random.chance(0.25) ? new Uint8Array(length) : patternOf(this.#tag++, offset, length) };
    });
    await allSucceed(changes.map((change) => this.#write(rig, change)));
    rig.model.writeTogether(changes);
  }

  #write(rig: Rig, { offset, bytes }: Change): Promise<void> {
    const zero = bytes.every((byte) => byte === 0);
    return zero ? rig.node.writeZeroes(offset, bytes.length, { mayUnmap: this.#random.chance(0.5) }) : rig.node.write(offset, bytes);
  }
}
