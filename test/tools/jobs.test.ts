/** Commit and rebase as jobs: progress, pause, abort and refusal, on disks of several windows. */

import {
  BlockGraph,
  chainOf,
  commitDisk,
  fileDriver,
  JobControl,
  memoryDriver,
  rawDriver,
  rebaseDisk,
  SimulatedClock,
  type BlockNode,
} from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import { qedDriver } from "@coblock/qed";
import { describe, expect, it } from "vitest";
import { Workbench } from "./workbench.ts";

const MIB = 1024 * 1024;
/** Data in four windows of 16 MiB, one of them at a boundary. */
const PLACES = [0, 20 * MIB, 48 * MIB - 65536, 70 * MIB];
const SIZE = 80 * MIB;

interface Rig {
  readonly overlay: BlockNode;
  readonly base: BlockNode;
  readonly graph: BlockGraph;
  readonly bench: Workbench;
}

async function withOverlay(format: "qcow2" | "qed", work: (rig: Rig) => Promise<void>, clock?: SimulatedClock): Promise<void> {
  using bench = new Workbench();
  const drivers = [fileDriver, memoryDriver, rawDriver, qcow2Driver, qedDriver];
  await using graph = new BlockGraph({ drivers, implicitOpen: "allow", ...(clock === undefined ? {} : { clock }) });
  await graph.create({ driver: "raw", filename: bench.path("base"), size: SIZE, values: {} });
  await graph.create({ driver: format, filename: bench.path("top"), size: SIZE, values: {}, backing: { filename: "base", format: "raw" } });
  const overlay = await graph.open(bench.path("top"), { writableBacking: 1 });
  for (const [index, offset] of PLACES.entries()) await overlay.write(offset, Buffer.alloc(100_000, index + 1));
  const base = chainOf(overlay)[1];
  if (base === undefined) throw new Error("the overlay has a base");
  await work({ overlay, base, graph, bench });
}

async function contentOf(node: BlockNode): Promise<Buffer> {
  const bytes = Buffer.alloc(node.size);
  await node.read(0, bytes);
  return bytes;
}

async function ownBytes(node: BlockNode): Promise<number> {
  let sum = 0;
  for await (const { kind, length } of node.extents({ throughBacking: false })) if (kind !== "unallocated") sum += length;
  return sum;
}

describe("commit", () => {
  it("tells how far it is, and empties a qcow2 overlay", () =>
    withOverlay("qcow2", async ({ overlay, base }) => {
      const before = await contentOf(overlay);
      const seen: number[] = [];
      const totals = new Set<number>();
      const { emptied } = await commitDisk({
        overlay,
        base,
        onProgress: (done, total) => {
          seen.push(done);
          totals.add(total);
        },
      });
      expect(emptied).toBe(true);
      expect(await ownBytes(overlay)).toBe(0);
      expect(seen).toEqual([...seen].sort((left, right) => left - right));
      expect(seen.length).toBeGreaterThan(PLACES.length - 1);
      expect([...totals]).toEqual([seen.at(-1)]);
      expect((await contentOf(base)).equals(before)).toBe(true);
      expect((await contentOf(overlay)).equals(before)).toBe(true);
    }));

  it("leaves a QED overlay as it is, since the format gives nothing up", () =>
    withOverlay("qed", async ({ overlay, base }) => {
      const own = await ownBytes(overlay);
      expect(await commitDisk({ overlay, base })).toEqual({ emptied: false });
      expect(await ownBytes(overlay)).toBe(own);
      expect((await contentOf(base)).equals(await contentOf(overlay))).toBe(true);
    }));

  it("ends at an abort with nothing lost, and goes on when it is run again", () =>
    withOverlay("qcow2", async ({ overlay, base }) => {
      const before = await contentOf(overlay);
      const abort = new AbortController();
      const job = commitDisk({
        overlay,
        base,
        signal: abort.signal,
        onProgress: (done) => {
          if (done > 0) abort.abort(new Error("enough"));
        },
      });
      await expect(job).rejects.toThrow("enough");
      expect(await ownBytes(overlay)).toBeGreaterThan(0);
      expect((await contentOf(overlay)).equals(before)).toBe(true);
      expect((await contentOf(base)).equals(before)).toBe(false);
      expect(await commitDisk({ overlay, base })).toEqual({ emptied: true });
      expect((await contentOf(base)).equals(before)).toBe(true);
    }));

  it("lets requests through while it is paused, and keeps to its rate", async () => {
    const clock = new SimulatedClock();
    await withOverlay(
      "qcow2",
      async ({ overlay, base }) => {
        const control = new JobControl(clock);
        control.pause();
        let ended = false;
        const job = commitDisk({ overlay, base, control }).finally(() => (ended = true));
        await overlay.write(0, Buffer.alloc(512, 9));
        expect(ended).toBe(false);
        expect(await ownBytes(base)).toBe(SIZE);
        // Each window holds some 100 kB of data: four windows, three waits of about a second.
        control.rate = 131_072;
        control.resume();
        let waits = 0;
        for (; !ended; waits++) {
          for (let turn = 0; turn < 200 && !ended; turn++) await new Promise((resolve) => setImmediate(resolve));
          if (!ended) await clock.advance(500);
        }
        await job;
        expect(waits).toBeGreaterThan(5);
        const first = Buffer.alloc(1);
        await base.read(0, first);
        expect(first[0]).toBe(9);
      },
      clock,
    );
  });

  it("is refused where it cannot be right", () =>
    withOverlay("qcow2", async ({ overlay, base, graph, bench }) => {
      const other = await graph.open({ driver: "memory", size: SIZE });
      await expect(commitDisk({ overlay, base: other })).rejects.toMatchObject({ code: "INVALID_OPTION" });
      await expect(commitDisk({ overlay, base: overlay })).rejects.toMatchObject({ code: "INVALID_OPTION" });
      await graph.create({
        driver: "qcow2",
        filename: bench.path("above"),
        size: SIZE,
        values: {},
        backing: { filename: "top", format: "qcow2" },
      });
      const above = await graph.open(bench.path("above"), { backing: overlay });
      await expect(commitDisk({ overlay: above, base, empty: true })).rejects.toThrow(/images between it and .* show/);
      await above[Symbol.asyncDispose]();
      await overlay[Symbol.asyncDispose]();
      const still = await graph.open(bench.path("top"));
      const readOnlyBase = chainOf(still)[1];
      if (readOnlyBase === undefined) throw new Error("the overlay has a base");
      await expect(commitDisk({ overlay: still, base: readOnlyBase })).rejects.toMatchObject({ code: "READ_ONLY" });
    }));
});

describe("rebase", () => {
  it("ends at an abort with the old backing file, and is complete when it is run again", () =>
    withOverlay("qcow2", async ({ overlay, graph }) => {
      const before = await contentOf(overlay);
      const node = await graph.open({ driver: "memory", bytes: Buffer.alloc(SIZE, 7) });
      const backing = { filename: "other", format: "raw", node };
      const abort = new AbortController();
      const job = rebaseDisk({ overlay, backing, signal: abort.signal, onProgress: () => abort.abort(new Error("enough")) });
      await expect(job).rejects.toThrow("enough");
      expect((await overlay.info()).backing?.filename).toBe("base");
      expect((await contentOf(overlay)).equals(before)).toBe(true);
      const seen: number[] = [];
      await rebaseDisk({ overlay, backing, onProgress: (done) => seen.push(done) });
      expect(seen.at(-1)).toBe(SIZE);
      expect((await overlay.info()).backing).toEqual({ filename: "other", format: "raw" });
      expect((await contentOf(overlay)).equals(before)).toBe(true);
    }));

  it("writes nothing where both backing files show the same", () =>
    withOverlay("qed", async ({ overlay, base }) => {
      const own = await ownBytes(overlay);
      await rebaseDisk({ overlay, backing: { filename: "elsewhere", format: "raw", node: base } });
      expect(await ownBytes(overlay)).toBe(own);
      expect((await overlay.info()).backing).toEqual({ filename: "elsewhere", format: "raw" });
    }));

  it("is refused for formats without backing files, before anything is compared", () =>
    withOverlay("qcow2", async ({ base }) => {
      await expect(rebaseDisk({ overlay: base, backing: undefined })).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
    }));
});

describe("a chain that changes while a job relies on it", () => {
  const changed = async ({ graph, overlay }: Rig, job: (control: JobControl) => Promise<unknown>): Promise<void> => {
    const control = new JobControl();
    control.pause();
    const running = job(control).then(
      () => "no error",
      (error: unknown) => error,
    );
    await using other = await graph.open({ driver: "memory", size: SIZE }, { readOnly: true });
    await overlay.changeBacking({ filename: "other", format: "raw", node: other });
    control.resume();
    expect(await running).toMatchObject({ code: "NOT_ALLOWED" });
  };

  it("ends a commit, which would give up what the new backing file does not have", () =>
    withOverlay("qcow2", async (rig) => {
      const { overlay, base } = rig;
      const own = await ownBytes(overlay);
      // The base stays open, and is written no more.
      await using _base = base.retain();
      await changed(rig, (control) => commitDisk({ overlay, base, control }));
      expect(await ownBytes(overlay)).toBe(own);
    }));

  it("ends a rebase, which would name its own backing file for what was compared with another one", () =>
    withOverlay("qcow2", async (rig) => {
      const { overlay, base, graph } = rig;
      await using _base = base.retain();
      await base.write(10 * MIB, Buffer.alloc(1000, 9));
      await using node = await graph.open({ driver: "memory", size: SIZE }, { readOnly: true });
      await changed(rig, (control) => rebaseDisk({ overlay, backing: { filename: "third", format: "raw", node }, control }));
      expect((await overlay.info()).backing?.filename).toBe("other");
    }));
});
