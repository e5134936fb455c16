/** One run of one case: makes its rigs, and sees that each ends well. */

import { strict as assert } from "node:assert";
import { SystemClock } from "@coblock/core";
import { SeededRandom } from "../seeded-random.ts";
import type { CompletionMode } from "../storage/completions.ts";
import { TestStorage } from "../storage/test-storage.ts";
import { Rig, type RigOptions } from "./rig.ts";
import type { DriverSubject } from "./subject.ts";

/** A case of the suite; each run gets a trial of its own. */
export interface CaseSpec {
  readonly name: string;
  /** Absent: every subject. */
  applies?(subject: DriverSubject): boolean;
  run(trial: Trial): Promise<void>;
}

/** A case that has not ended by then never will. */
const HANG_MS = 45_000;
/** Hostile on purpose: a discarded range does not become zero in the storage below. */
const DISCARD_BYTE = 0xdd;

export class Trial {
  readonly subject: DriverSubject;
  readonly mode: CompletionMode;
  readonly #rigs: Set<Rig> = new Set();

  constructor(subject: DriverSubject, mode: CompletionMode) {
    this.subject = subject;
    this.mode = mode;
  }

  /** A fresh image, open for writing where the subject can write. */
  async make(options: RigOptions & { readonly seed?: number } = {}): Promise<Rig> {
    const storage = new TestStorage({ completions: this.mode, seed: options.seed ?? 1, discardByte: DISCARD_BYTE });
    return this.adopt(await Rig.make(this.subject, storage, options));
  }

  /** A fresh image that holds data, zeros and holes: written, or made so where that is not possible. */
  async makeFilled(options: RigOptions = {}): Promise<Rig> {
    const size = options.size ?? this.subject.diskSize;
    const pieces = contentOf(size, this.subject.clusterSize);
    if (this.subject.writable === false || (this.subject.persistent === false && options.readOnly === true)) {
      const content = new Uint8Array(size);
      for (const { offset, bytes } of pieces) content.set(bytes, offset);
      return this.make({ ...options, content });
    }
    const rig = await this.make({ ...options, readOnly: false });
    for (const { offset, bytes } of pieces) await rig.write(offset, bytes);
    await rig.flush();
    if (options.readOnly === true) await rig.reopen({ readOnly: true });
    return rig;
  }

  /** Has the trial look after `rig` too. */
  adopt(rig: Rig): Rig {
    this.#rigs.add(rig);
    return rig;
  }

  /** Sees that the rig ends well, before the case does: for cases that make many. */
  async finish(rig: Rig): Promise<void> {
    await finish(rig);
    this.#rigs.delete(rig);
  }

  /** Runs the case to its end, or says what it hangs on. */
  async run(spec: CaseSpec): Promise<void> {
    using guard = this.#watch();
    try {
      await Promise.race([this.#runAndFinish(spec), guard.hung]);
    } catch (error) {
      for (const rig of this.#rigs) await Promise.race([rig.dispose().catch(() => {}), guard.hung.catch(() => {})]);
      throw error;
    }
  }

  async #runAndFinish(spec: CaseSpec): Promise<void> {
    await spec.run(this);
    for (const rig of this.#rigs) await finish(rig);
  }

  #watch(): Disposable & { readonly hung: Promise<never> } {
    let timer: Disposable | undefined;
    const hung = new Promise<never>((_resolve, reject) => {
      timer = new SystemClock().schedule(HANG_MS, () =>
        reject(new Error(`the case hangs: ${JSON.stringify([...this.#rigs].map((rig) => rig.graph.inspect()))}`)),
      );
    });
    hung.catch(() => {});
    return { hung, [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
  }
}

/** Whatever a case did: nobody is left behind, and what is stored is what the model says, before closing and after. */
async function finish(rig: Rig): Promise<void> {
  if (rig.isOpen) {
    rig.expectIdle("at the end");
    await rig.expectAll("at the end");
    await rig.close();
    if (rig.subject.persistent !== false) {
      await rig.open({ readOnly: true });
      await rig.expectAll("opened again");
      await rig.expectClean("opened again");
      await rig.close();
    }
  }
  assert.equal(rig.graph.inspect().nodes.length, 0, "nodes left open");
  assert.equal(rig.storage.openFiles, 0, "files left open");
  assert.equal(rig.storage.inFlight, 0, "operations left in flight");
  await rig.dispose();
}

/** Pieces at edges, a compressible and an incompressible one, zeros that are written, and holes between. */
function contentOf(size: number, clusterSize: number): { readonly offset: number; readonly bytes: Uint8Array }[] {
  const random = new SeededRandom(7);
  const pieces = [
    { offset: 0, bytes: random.bytes(Math.min(clusterSize, size)) },
    { offset: clusterSize + 100, bytes: random.bytes(1000) },
    { offset: 2 * clusterSize, bytes: new Uint8Array(clusterSize).fill(0x41) },
    { offset: 3 * clusterSize - 3, bytes: random.bytes(10) },
    { offset: 4 * clusterSize, bytes: new Uint8Array(clusterSize) },
    { offset: size - 700, bytes: random.bytes(700) },
  ];
  return pieces.filter(({ offset, bytes }) => offset >= 0 && offset + bytes.length <= size);
}
