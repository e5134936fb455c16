import { expect, test } from "vitest";
import type { BlockChild } from "./child.ts";
import { deferred, filled, labDriver, labOptions, openDisk, settled, watch } from "./fixture/lab.ts";
import { ListeningDisk } from "./fixture/listening-disk.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { rawDriver } from "./drivers/raw/entry.ts";
import { BlockGraph } from "./graph.ts";

/** The child of a filter over a filter over `disk`, or over a raw node over it. */
async function childOf(
  disk: LabDisk,
  { raw = false, role = "filtered" }: { readonly raw?: boolean; readonly role?: "filtered" | "data" } = {},
): Promise<BlockChild> {
  const children: BlockChild[] = [];
  const filter = labDriver("through", "filter", async (options, context) => {
    const child = await context.child("child", role, labOptions(options["child"] as { driver: string }));
    children.push(child);
    return {
      size: child.size,
      limits: child.limits,
      read: (offset, into) => child.read(offset, into),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  });
  const graph = new BlockGraph({ drivers: [labDriver("lab-disk", "protocol", async () => disk), rawDriver, filter] });
  const file = { driver: "lab-disk" };
  const below = raw ? { driver: "raw", file } : file;
  await graph.open(labOptions({ driver: "through", child: { driver: "through", child: below } }));
  const child = children.at(-1);
  if (child === undefined) throw new Error("assertion failed: a child was opened");
  return child;
}

test("events pass through filters, and through raw, to whoever hears them", async () => {
  for (const raw of [false, true]) {
    const disk = new ListeningDisk(4096);
    const child = await childOf(disk, { raw });
    expect(child.listens).toBe(true);
    disk.stops = () => true;
    const stopped = watch(Promise.resolve(child.event("l2_update")));
    await settled();
    expect([stopped.state, disk.stopped]).toEqual(["pending", ["l2_update"]]);
    disk.goOn();
    await settled();
    expect(stopped.state).toBe("fulfilled");
  }
});

test("where nobody hears them they cost nothing", async () => {
  const child = await childOf(new LabDisk(4096), { raw: true });
  expect([child.listens, child.event("l2_update")]).toEqual([false, undefined]);
});

test("what is no filtered child does not hear what is told to the node above", async () => {
  const child = await childOf(new ListeningDisk(4096), { role: "data" });
  expect([child.listens, child.event("l2_update")]).toEqual([false, undefined]);
});

test("a raw image announces its flush", async () => {
  const disk = new ListeningDisk(4096);
  const graph = new BlockGraph({ drivers: [labDriver("lab-disk", "protocol", async () => disk), rawDriver] });
  const node = await graph.open(labOptions({ driver: "raw", file: { driver: "lab-disk" } }));
  await node.write(0, filled(512, 1));
  disk.takeLog();
  await node.flush();
  expect(disk.takeLog()).toEqual(["at flush_to_os", "at flush_to_disk", "flush"]);
});

test("a write that does not fit the alignment announces what it reads, and what it has read", async () => {
  const disk = new ListeningDisk(4096);
  disk.limits = { requestAlignment: 512 };
  const node = await openDisk(disk);
  await node.write(100, filled(1000, 1));
  expect(disk.takeLog()).toEqual([
    "at pwritev_rmw_head",
    "read 0+512",
    "at pwritev_rmw_after_head",
    "at pwritev_rmw_tail",
    "read 1024+512",
    "at pwritev_rmw_after_tail",
    "write 0+1536",
  ]);
  await node.write(100, filled(10, 1));
  expect(disk.takeLog(), "one unit").toEqual(["at pwritev_rmw_head", "read 0+512", "at pwritev_rmw_after_head", "write 0+512"]);
  await node.write(512, filled(100, 1));
  expect(disk.takeLog()).toEqual(["at pwritev_rmw_tail", "read 512+512", "at pwritev_rmw_after_tail", "write 512+512"]);
});

test("a write that is stopped before its read keeps those away that overlap, and no others", async () => {
  const disk = new ListeningDisk(4096);
  disk.limits = { requestAlignment: 512 };
  const node = await openDisk(disk);
  const stop = deferred();
  disk.stops = (name) => name === "pwritev_rmw_after_head";
  const first = node.write(100, filled(10, 1)).then(stop.resolve);
  await settled();
  disk.stops = () => false;
  const second = watch(node.write(200, filled(10, 2)));
  const elsewhere = watch(node.write(1024 + 100, filled(10, 3)));
  await settled();
  expect([second.state, elsewhere.state]).toEqual(["pending", "fulfilled"]);
  disk.goOn();
  await first;
  await settled();
  expect(second.state).toBe("fulfilled");
  expect(disk.bytes.subarray(0, 512)).toEqual(filled(512, 0).fill(1, 100, 110).fill(2, 200, 210));
});
