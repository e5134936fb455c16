/** One image of a subject, open on storage that the case controls, with a model of what it should hold. */

import { strict as assert } from "node:assert";
import { BlockError, BlockGraph, type BlockErrorCode, type BlockNode, type BlockStatus, type DescribedNode } from "@coblock/core";
import { held, requests, waiting } from "../lab/leftovers.ts";
import type { TestStorage } from "../storage/test-storage.ts";
import { DiskModel } from "./disk-model.ts";
import { patternOf } from "./patterns.ts";
import type { DriverSubject, Site } from "./subject.ts";

export interface RigOptions {
  readonly size?: number;
  readonly content?: Uint8Array;
  /** Content of the backing file. */
  readonly backing?: Uint8Array;
  readonly readOnly?: boolean;
}

const CLUSTERS_AT_ONCE = 32;

/** Names outside of the test storage must differ from case to case. */
let nextSerial = 0;

/** The image under test, the storage below it, and what it should hold. */
export class Rig {
  readonly subject: DriverSubject;
  readonly storage: TestStorage;
  readonly site: Site;
  graph: BlockGraph;
  model: DiskModel;
  #node: BlockNode | undefined;

  /** Makes the image and opens it. */
  static async make(subject: DriverSubject, storage: TestStorage, options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(subject, storage, options);
    if (options.backing !== undefined) storage.put("test:backing", options.backing);
    await subject.create(rig.site);
    await rig.open({ readOnly: options.readOnly ?? subject.writable === false });
    return rig;
  }

  /** The same image on other storage, to be opened with `open`. */
  static on(storage: TestStorage, rig: Rig, model: DiskModel): Rig {
    const other = new Rig(rig.subject, storage, {
      size: rig.site.size,
      ...(rig.site.backing === undefined ? {} : { backing: new Uint8Array(0) }),
    });
    other.model = model;
    return other;
  }

  private constructor(subject: DriverSubject, storage: TestStorage, { size = subject.diskSize, content, backing }: RigOptions) {
    this.subject = subject;
    this.storage = storage;
    this.graph = makeGraph(subject, storage);
    const currentGraph = (): BlockGraph => this.graph;
    this.site = {
      get graph() {
        return currentGraph();
      },
      storage,
      size,
      serial: nextSerial++,
      fileName: (part) => (part === undefined ? "test:image" : `test:image.${part}`),
      ...(content === undefined ? {} : { content }),
      ...(backing === undefined ? {} : { backing: { driver: "test", filename: "test:backing", readOnly: true } satisfies DescribedNode }),
    };
    this.model = content === undefined ? DiskModel.empty(size) : new DiskModel(content);
    if (backing !== undefined) this.model.write(0, backing.subarray(0, size));
    this.model.flushed();
  }

  get node(): BlockNode {
    assert(this.#node !== undefined, "the image is not open");
    return this.#node;
  }

  get isOpen(): boolean {
    return this.#node !== undefined;
  }

  async open(options: { readonly readOnly?: boolean } = {}): Promise<BlockNode> {
    const { readOnly = false } = options;
    this.#node = await this.graph.open({ ...this.subject.describe(this.site, readOnly), readOnly }, options);
    return this.#node;
  }

  async close(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.[Symbol.asyncDispose]();
  }

  /** Nothing happens where the content would be gone. */
  async reopen(options: { readonly readOnly?: boolean } = {}): Promise<void> {
    if (this.subject.persistent === false) return;
    await this.close();
    await this.open(options);
  }

  /** Writes, and notes it in the model. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.node.write(offset, bytes);
    this.model.write(offset, bytes);
  }

  async writePattern(tag: number, offset: number, length: number): Promise<void> {
    await this.write(offset, patternOf(tag, offset, length));
  }

  async writeZeroes(offset: number, length: number, options?: { readonly mayUnmap: boolean }): Promise<void> {
    await this.node.writeZeroes(offset, length, options);
    this.model.zero(offset, length);
  }

  async flush(): Promise<void> {
    await this.node.flush();
    this.model.flushed();
  }

  /** Reads and compares with the model; a subject that stores nothing is only read. */
  async expectRange(offset: number, length: number, what: string): Promise<void> {
    const into = new Uint8Array(length).fill(0xee);
    await this.node.read(offset, into);
    if (this.subject.stores !== false) this.model.expect(offset, into, what);
  }

  async expectAll(what: string): Promise<void> {
    await this.expectRange(0, this.node.size, what);
  }

  async extents(throughBacking = true): Promise<BlockStatus[]> {
    const found: BlockStatus[] = [];
    for await (const extent of this.node.extents({ throughBacking })) found.push(extent);
    return found;
  }

  /** Metadata is in order. */
  async expectClean(what: string): Promise<void> {
    const findings: string[] = [];
    const result = await this.node.check({ repair: "none" }, (finding) => findings.push(finding.what));
    if (result === undefined) return;
    assert.deepEqual(
      { errors: result.errors, corruptions: result.corruptions },
      { errors: 0, corruptions: 0 },
      `${what}: check finds ${findings.join("; ")}`,
    );
  }

  /** No request is left, no lock is held, nobody waits. */
  expectIdle(what: string): void {
    const idle = { graph: this.graph, watchedLocks: [] };
    assert.deepEqual([...requests(idle), ...held(idle), ...waiting(idle)], [], what);
  }

  /** So many requests are in flight in the image. */
  expectRequests(count: number, what: string): void {
    const { requests: own = [] } = this.node.inspect() as Inspected;
    assert.equal(own.length, count, `${what}: ${JSON.stringify(own)}`);
  }

  /** Each cluster of the disk is read right, or fails: many in one request, and where that fails each in one of its own. */
  async expectReadable(what: string): Promise<void> {
    const { clusterSize } = this.subject;
    const step = CLUSTERS_AT_ONCE * clusterSize;
    for (let offset = 0; offset < this.node.size; offset += step) {
      const end = Math.min(offset + step, this.node.size);
      if (await this.#readsOrFails(offset, end, what)) continue;
      for (let at = offset; at < end; at += clusterSize) await this.#readsOrFails(at, Math.min(at + clusterSize, end), what);
    }
  }

  /** `false`: it fails, clearly. */
  async #readsOrFails(start: number, end: number, what: string): Promise<boolean> {
    try {
      await this.expectRange(start, end - start, what);
      return true;
    } catch (error) {
      if (error instanceof BlockError) return false;
      throw error;
    }
  }

  /** Everything goes, whatever state the case left it in. */
  async dispose(): Promise<void> {
    await this.graph[Symbol.asyncDispose]();
    this.#node = undefined;
    await this.subject.remove?.(this.site);
  }
}

function makeGraph(subject: DriverSubject, storage: TestStorage): BlockGraph {
  const drivers = [...subject.drivers.filter(({ name }) => name !== "test"), storage.driver];
  return new BlockGraph({ drivers, secrets: subject.secrets ?? {}, implicitOpen: "allow" });
}

/** Rejects with a `BlockError` of this code, or one of these. */
export async function expectCode(code: BlockErrorCode | readonly BlockErrorCode[], promise: Promise<unknown>, what: string): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert(error instanceof BlockError, `${what}: throws ${String(error)}, which is no BlockError`);
    assert([code].flat().includes(error.code), `${what} fails with ${error.code}, not ${String(code)}: ${error.message}`);
    return;
  }
  assert.fail(`${what}: succeeds, where ${String(code)} was expected`);
}

interface Inspected {
  readonly requests?: readonly unknown[];
}
