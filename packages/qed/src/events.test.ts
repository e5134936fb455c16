/** What a QED image tells its file that it is about to do, and what goes on while it is stopped there. */

import { type BlockDriver, BlockGraph, type BlockEvent, type BlockNode, type DriverEntry, memoryDriver, rawDriver } from "@coblock/core";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { qedDriver } from "./index.ts";
import { filled, inMemory, readAll } from "./test/images.ts";
import { ScriptedFile } from "./test/scripted-file.ts";

const CLUSTER = 4096;
/** Bytes that one L2 table maps. */
const TABLE_SPAN = 1024 * CLUSTER;

/** A file that writes down the events, and stops or fails whoever comes to some of them. */
class ListeningFile extends ScriptedFile {
  readonly events: BlockEvent[] = [];
  readonly stops: Set<BlockEvent> = new Set();
  readonly failing: Set<BlockEvent> = new Set();
  readonly #stopped: (() => void)[] = [];

  override get entry(): DriverEntry {
    const entry = super.entry;
    const load = async (): Promise<BlockDriver> => {
      const driver = await entry.load();
      return {
        ...driver,
        open: async (...words) => Object.assign(await driver.open(...words), { event: (name: BlockEvent) => this.#at(name) }),
      };
    };
    return { ...entry, load };
  }

  get stopped(): number {
    return this.#stopped.length;
  }

  goOn(): void {
    for (const resume of this.#stopped.splice(0)) resume();
  }

  #at(name: BlockEvent): void | Promise<void> {
    this.events.push(name);
    if (this.failing.has(name)) return Promise.reject(new Error(`${name} is to fail`));
    if (this.stops.has(name)) return new Promise((resume) => this.#stopped.push(resume));
    return undefined;
  }
}

interface Session {
  readonly file: ListeningFile;
  readonly disk: BlockNode;
  readonly graph: BlockGraph;
}

async function openImage(backing?: Uint8Array): Promise<Session> {
  const file = new ListeningFile();
  const graph = new BlockGraph({ drivers: [file.entry, rawDriver, qedDriver] });
  const values = { cluster_size: CLUSTER, table_size: 2 };
  await graph.create({ driver: "qed", filename: "memory:image", size: 2 * TABLE_SPAN, values });
  if (backing === undefined) return { file, graph, disk: await graph.open(inMemory) };
  const base = await new BlockGraph({ drivers: [memoryDriver, rawDriver] }).open({ driver: "memory", bytes: backing });
  return { file, graph, disk: await graph.open({ ...inMemory, backing: base }) };
}

/** The events of `work`. */
async function eventsOf({ file }: Session, work: () => Promise<unknown>): Promise<BlockEvent[]> {
  file.events.length = 0;
  await work();
  return [...file.events];
}

async function settled(): Promise<void> {
  for (let count = 0; count < 5; count++) await turn();
}

describe("events, in the order in which an image is used", () => {
  test("without a backing file", async () => {
    const session = await openImage();
    const { disk } = session;
    const write =
      (offset: number): (() => Promise<void>) =>
      () =>
        disk.write(offset, filled(CLUSTER, 1));
    const read = (): Promise<void> => disk.read(0, filled(CLUSTER, 0));
    expect(await eventsOf(session, read), "nothing is there").toEqual([]);
    expect(await eventsOf(session, write(0)), "a new table").toEqual([
      "cluster_alloc",
      "write_aio",
      "l2_alloc_write",
      "cluster_alloc",
      "l2_update",
      "l1_update",
    ]);
    expect(await eventsOf(session, write(CLUSTER)), "a table that is there").toEqual(["cluster_alloc", "write_aio", "l2_update"]);
    expect(await eventsOf(session, write(0)), "in place").toEqual(["write_aio"]);
    expect(await eventsOf(session, read)).toEqual(["read_aio"]);
    expect(await eventsOf(session, () => disk.flush())).toEqual(["flush_to_os", "flush_to_disk"]);
    await disk[Symbol.asyncDispose]();
    const again = await session.graph.open(inMemory);
    expect(await eventsOf(session, () => again.read(0, filled(CLUSTER, 0))), "a table that has to be read").toEqual([
      "l2_load",
      "read_aio",
    ]);
  });

  test("over a backing file", async () => {
    const session = await openImage(filled(TABLE_SPAN, 7));
    const { disk } = session;
    expect(await eventsOf(session, () => disk.read(0, filled(512, 0)))).toEqual(["read_backing_aio"]);
    const events = await eventsOf(session, () => disk.write(512, filled(512, 1)));
    expect(events.slice(0, 7), "head, tail, and both with the payload").toEqual([
      "cluster_alloc",
      "cow_read",
      "read_backing_aio",
      "cow_read",
      "read_backing_aio",
      "cow_write",
      "write_aio",
    ]);
  });
});

/** Every event of a session that passes all points. */
async function useAll({ disk }: Session): Promise<Uint8Array> {
  await disk.write(512, filled(512, 1));
  await disk.write(3 * CLUSTER, filled(CLUSTER, 2));
  await disk.write(3 * CLUSTER + 100, filled(100, 3));
  await disk.write(TABLE_SPAN + 512, filled(CLUSTER, 4));
  await disk.flush();
  return readAll(disk);
}

test("who is stopped at every event goes on to the same disk", async () => {
  const expected = await useAll(await openImage(filled(TABLE_SPAN + 1000, 7)));
  const session = await openImage(filled(TABLE_SPAN + 1000, 7));
  const { file } = session;
  const points: BlockEvent[] = ["cluster_alloc", "cow_read", "cow_write", "write_aio", "l2_alloc_write", "l2_update", "l1_update"];
  for (const name of [...points, "read_aio", "read_backing_aio", "flush_to_os", "flush_to_disk"] as const) file.stops.add(name);
  let ended = false;
  const using = useAll(session).finally(() => (ended = true));
  while (!ended) {
    await settled();
    file.goOn();
  }
  expect(Buffer.compare(await using, expected)).toBe(0);
});

test("a write that is stopped at l2_update holds the lock of the tables, and nothing else", async () => {
  const { file, disk } = await openImage();
  await disk.write(0, filled(CLUSTER, 1));
  let finishRead = (): void => {};
  file.script = ({ kind }) => (kind === "read" ? new Promise((resolve) => (finishRead = resolve)) : undefined);
  const inFlight = filled(512, 0);
  let read = false;
  const reading = disk.read(0, inFlight).then(() => (read = true));
  file.script = () => {};
  file.stops.add("l2_update");
  let written = false;
  const writing = disk.write(CLUSTER, filled(CLUSTER, 2)).then(() => (written = true));
  await settled();
  expect(file.stopped).toBe(1);
  finishRead();
  await reading;
  expect([read, written], "what is in flight ends").toEqual([true, false]);
  const later = filled(512, 0);
  let readLater = false;
  const readingLater = disk.read(0, later).then(() => (readLater = true));
  await settled();
  expect(readLater, "who looks up an address waits for the lock").toBe(false);
  file.stops.clear();
  file.goOn();
  await Promise.all([writing, readingLater]);
  expect(inFlight).toEqual(filled(512, 1));
  expect(later).toEqual(filled(512, 1));
  await disk.read(CLUSTER, later);
  expect(later).toEqual(filled(512, 2));
});

test("an event that fails fails what it announced: the table stays as it was", async () => {
  const { file, disk } = await openImage();
  await disk.write(0, filled(CLUSTER, 1));
  file.failing.add("l2_update");
  await expect(disk.write(CLUSTER, filled(CLUSTER, 2))).rejects.toThrow("l2_update is to fail");
  file.failing.clear();
  const bytes = filled(CLUSTER, 9);
  await disk.read(CLUSTER, bytes);
  expect(bytes).toEqual(filled(CLUSTER, 0));
});
