/** Snapshots that actors make, apply and delete: what each must hold, at the end and wherever the power goes. */

import type { BlockGraph, DescribedNode } from "@coblock/core";
import { type Actor, type Lab, type LabDisk, RunFailure } from "@coblock/testing";
import { DISK_FILE } from "./qcow2-images.ts";
import { contentOfSnapshot } from "./qcow2-snapshot-content.ts";

/** `maybe`: being made or deleted, or that failed. */
type State = "there" | "maybe" | "gone";

interface Kept {
  readonly name: string;
  state: State;
  /** Once it is known. */
  content: Uint8Array | undefined;
}

/** To the model of the disk, making a snapshot is a read of all of it, and applying one a write of all of it, and a flush. */
export class SnapshotLedger {
  readonly #lab: Lab;
  readonly #disk: LabDisk;
  readonly #kept: Kept[] = [];

  constructor(lab: Lab, disk: LabDisk) {
    this.#lab = lab;
    this.#disk = disk;
    lab.alsoJudge(() => {
      const now = this.#kept.map((kept) => ({ kept, state: kept.state }));
      return (graph) => this.#judge(graph, now);
    });
  }

  /** Names that are sure to be there. */
  get names(): readonly string[] {
    return this.#kept.flatMap(({ name, state }) => (state === "there" ? [name] : []));
  }

  /** Names differ. */
  async create(actor: Actor, name: string): Promise<void> {
    const { node, model } = this.#disk;
    const kept: Kept = { name, state: "maybe", content: undefined };
    this.#kept.push(kept);
    const reading = model.begin({ kind: "read", offset: 0, length: node.size }, actor.name);
    const done = await actor.does(`snapshot '${name}'`, async () => void (await node.snapshots.create(name)));
    kept.content = contentOfSnapshot(this.#lab.storage.contentOf(DISK_FILE), name);
    if (done) kept.state = "there";
    if (kept.content !== undefined) reading.succeeded(kept.content);
    else if (done) throw new RunFailure("wrong", `the snapshot '${name}' was made and is not there`);
    else reading.failed();
  }

  /** One that is there. */
  async apply(actor: Actor, name: string): Promise<void> {
    const { node, model } = this.#disk;
    const bytes = this.#find(name).content;
    if (bytes === undefined) throw new Error(`the snapshot '${name}' was never made`);
    this.#disk.touch({ offset: 0, length: bytes.length });
    const writing = model.begin({ kind: "write", offset: 0, bytes }, actor.name);
    if (!(await actor.does(`apply '${name}'`, () => node.snapshots.apply(name)))) return writing.failed();
    writing.succeeded();
    model.begin({ kind: "flush" }).succeeded();
  }

  async delete(actor: Actor, name: string): Promise<void> {
    const kept = this.#find(name);
    kept.state = "maybe";
    const done = await actor.does(`delete '${name}'`, async () => void (await this.#disk.node.snapshots.delete(name)));
    if (done) kept.state = "gone";
  }

  #find(name: string): Kept {
    const kept = this.#kept.find((each) => each.name === name);
    if (kept === undefined) throw new Error(`no snapshot '${name}' was asked for`);
    return kept;
  }

  /** What is on disk holds each snapshot that it lists, and lists all that must be there. */
  async #judge(graph: BlockGraph, moment: readonly { readonly kept: Kept; readonly state: State }[]): Promise<void> {
    const options = this.#disk.options as DescribedNode;
    const image = await graph.open(options, { readOnly: true });
    const listed = image.snapshots.list().map(({ name }) => name);
    await image[Symbol.asyncDispose]();
    const expected = moment.filter(({ kept: { name }, state }) => state === "there" || (state === "maybe" && listed.includes(name)));
    const names = expected.map(({ kept }) => kept.name);
    if (String(names) !== String(listed))
      throw new RunFailure("wrong", `the image lists the snapshots ${String(listed)}, not ${String(names)}`);
    for (const { kept } of expected) {
      const node = await graph.open({ ...options, snapshot: { name: kept.name } } as DescribedNode, { readOnly: true });
      const content = new Uint8Array(node.size);
      await node.read(0, content);
      await node[Symbol.asyncDispose]();
      const at = kept.content === undefined ? 0 : firstDifference(kept.content, content);
      if (at !== undefined) throw new RunFailure("wrong", `the snapshot '${kept.name}' was changed at offset ${at}`);
    }
  }
}

function firstDifference(left: Uint8Array, right: Uint8Array): number | undefined {
  if (Buffer.compare(left, right) === 0) return undefined;
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return at < 0 ? left.length : at;
}
