import type { Allocation, BlockChild, BlockDriver, HostSpan, MappedImage, Mapping, OpenContext } from "@coblock/core";
import { beforeEach, describe, expect, test } from "vitest";
import { Ownership } from "./ownership.ts";

const CLUSTER = 4096;
const file = { node: { fileName: "sim:a" } } as BlockChild;
const otherFile = { node: { fileName: "sim:b" } } as BlockChild;

/** An image that does as it is told, and what the oracle says of it. */
class Watched {
  readonly failures: string[] = [];
  inFlight: readonly string[] = [];
  next: Allocation | undefined;
  mapping: Mapping = { kind: "unallocated", length: CLUSTER };
  image: MappedImage | undefined;
  context: OpenContext | undefined;

  async open(): Promise<this> {
    const ownership = new Ownership(
      ({ message }) => this.failures.push(message),
      () => this.inFlight,
    );
    const image = {
      lookup: () => this.mapping,
      allocate: async () => this.next,
      abandon: async () => {},
      release: async () => {},
    } as unknown as MappedImage;
    const driver = {
      open: async (_options: object, context: OpenContext) => {
        this.context = context;
        return image;
      },
    } as unknown as BlockDriver;
    const entry = ownership.watch({ name: "toy", kind: "format", load: async () => driver });
    const given = { nodeName: "node", retire: () => {} } as unknown as OpenContext;
    const opened = await (await entry.load()).open({ driver: "toy" } as never, given);
    if ("lookup" in opened) this.image = opened;
    return this;
  }

  async allocate(guest: number, childOffset: number, child = file): Promise<Allocation> {
    this.next = { offset: guest, length: CLUSTER, child, childOffset, readsZero: true, ticket: undefined };
    await this.image?.allocate?.(undefined, { offset: guest, length: CLUSTER });
    return this.next;
  }

  retire(childOffset: number, length = CLUSTER): void {
    this.context?.retire({ child: file, childOffset, length });
  }

  async release(childOffset: number, length = CLUSTER): Promise<void> {
    const span: HostSpan = { child: file, childOffset, length };
    await this.image?.release?.(undefined, [span]);
  }

  lookup(guest: number, childOffset: number): void {
    this.mapping = { kind: "data", length: CLUSTER, child: file, childOffset, writable: true };
    this.image?.lookup(undefined, guest, CLUSTER, "read");
  }
}

let watched: Watched;
beforeEach(async () => {
  watched = await new Watched().open();
});

test("space that goes from hand to hand in good order is nothing to report", async () => {
  await watched.allocate(0, 0);
  await watched.allocate(CLUSTER, CLUSTER);
  await watched.allocate(2 * CLUSTER, 0, otherFile);
  watched.lookup(0, 0);
  // A rewrite in place: the same guest bytes, in the same place.
  await watched.allocate(0, 0);
  watched.retire(0);
  watched.lookup(CLUSTER, CLUSTER);
  await watched.release(0);
  await watched.allocate(7 * CLUSTER, 0);
  watched.lookup(7 * CLUSTER, 0);
  await watched.image?.abandon?.(undefined, await watched.allocate(8 * CLUSTER, 2 * CLUSTER));
  await watched.allocate(9 * CLUSTER, 2 * CLUSTER);
  expect(watched.failures).toEqual([]);
});

describe("is reported with offsets", () => {
  test("one span that is given to two", async () => {
    await watched.allocate(0, CLUSTER);
    await watched.allocate(5 * CLUSTER, CLUSTER);
    expect(watched.failures).toEqual(["node: guest offset 0x5000 is given sim:a 0x1000+4096, which guest offset 0x0 owns"]);
  });

  test("spans that overlap", async () => {
    await watched.allocate(0, 0);
    await watched.allocate(CLUSTER, CLUSTER - 512);
    expect(watched.failures).toEqual(["node: guest offset 0x1000 is given sim:a 0x0+4096, which guest offset 0x0 owns"]);
  });

  test("what is retired twice, also in part", () => {
    watched.retire(0);
    watched.retire(CLUSTER - 512, 512);
    expect(watched.failures).toEqual(["node: sim:a 0xe00+512 is retired twice"]);
  });

  test("a mapping to retired space", () => {
    watched.retire(CLUSTER);
    watched.lookup(3 * CLUSTER, CLUSTER);
    expect(watched.failures).toEqual(["node: guest offset 0x3000 is mapped to sim:a 0x1000+4096, which was retired"]);
  });

  test("retired space that is given away before it is free", async () => {
    await watched.allocate(0, 0);
    watched.retire(0);
    await watched.allocate(CLUSTER, 0);
    expect(watched.failures).toEqual(["node: sim:a 0x0+4096 was retired, and is given to guest offset 0x1000 before it is free"]);
  });

  test("space that is given back while somebody reads it", async () => {
    watched.retire(0);
    watched.inFlight = ["sim:a: read 0x0+512"];
    await watched.release(0);
    expect(watched.failures).toEqual(["node: sim:a 0x0+4096 is given back while it is in use: sim:a: read 0x0+512"]);
  });
});

test("a part that is retired leaves the rest to its owner", async () => {
  await watched.allocate(0, 0);
  watched.retire(1024, 1024);
  await watched.release(1024, 1024);
  await watched.allocate(CLUSTER, 4 * CLUSTER);
  expect(watched.failures).toEqual([]);
  await watched.allocate(2 * CLUSTER, 512);
  expect(watched.failures).toEqual(["node: guest offset 0x2000 is given sim:a 0x0+1024, which guest offset 0x0 owns"]);
});
