/** Real clients against our server: what they read, write and map must be what they find at qemu-nbd. */

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NbdServer } from "@coblock/nbd";
import { Peers } from "./peers.ts";

const peers = new Peers();
let server: NbdServer;
const uri = (name: string): string => peers.socketUri("ours.sock", name);

beforeAll(async () => {
  peers.makeChain();
  writeFileSync(peers.path("odd.raw"), Buffer.alloc(1_000_001, 5));
  const chain = await peers.graph.open(peers.path("top.qcow2"), { readOnly: true });
  const odd = await peers.graph.open(peers.path("odd.raw"), { driver: "raw", readOnly: true });
  await peers.graph.create({ driver: "qcow2", filename: peers.path("work.qcow2"), size: 64 * 1024 * 1024 });
  const work = await peers.graph.open(peers.path("work.qcow2"));
  server = await NbdServer.start({
    listen: { path: peers.path("ours.sock") },
    exports: [
      { name: "chain", description: "a chain of two", node: chain, allocationDepth: true },
      { name: "odd", node: odd },
      { name: "work", node: work, writable: true },
    ],
  });
});
afterAll(async () => {
  await server.close();
  await peers[Symbol.asyncDispose]();
});

describe("nbdinfo", () => {
  it("maps allocation and depth as it does for qemu-nbd", async () => {
    const words = ["-r", "-t", "-A", "-k", peers.path("theirs.sock"), "-x", "chain", "-f", "qcow2", peers.path("top.qcow2")];
    const theirs = await peers.serve("qemu-nbd", words, "theirs.sock");
    for (const context of ["base:allocation", "qemu:allocation-depth"]) {
      const [expected, found] = [
        await peers.succeed("nbdinfo", [`--map=${context}`, peers.socketUri("theirs.sock", "chain")]),
        await peers.succeed("nbdinfo", [`--map=${context}`, uri("chain")]),
      ];
      expect(found).toBe(expected);
      expect(found.split("\n").length).toBeGreaterThan(5);
    }
    await peers.end(theirs);
  });

  it("maps a dirty bitmap of the image as it does for qemu-nbd", async () => {
    const image = peers.path("bitmap.qcow2");
    await peers.succeed("qemu-img", ["create", "-f", "qcow2", image, "16M"]);
    await peers.succeed("qemu-img", ["bitmap", "--add", "-g", "65536", image, "b 1"]);
    await peers.succeed("qemu-io", ["-f", "qcow2", "-c", "write 1M 100k", "-c", "write 5M 1M", image]);
    const theirs = await peers.serve("qemu-nbd", ["-r", "-t", "-B", "b 1", "-k", peers.path("b.sock"), "-f", "qcow2", image], "b.sock");
    const expected = await peers.succeed("nbdinfo", ["--map=qemu:dirty-bitmap:b 1", peers.socketUri("b.sock")]);
    await peers.end(theirs);
    const node = await peers.graph.open(image, { readOnly: true });
    const exports = [{ name: "", node, bitmaps: ["b 1"] }];
    const ours = await NbdServer.start({ listen: { path: peers.path("b2.sock") }, exports });
    expect(await peers.succeed("nbdinfo", ["--map=qemu:dirty-bitmap:b 1", peers.socketUri("b2.sock")])).toBe(expected);
    expect(expected.match(/dirty/g)?.length).toBe(2);
    await ours.close();
    await node[Symbol.asyncDispose]();
  });

  it("lists the exports, and tells what each can do", async () => {
    const { exports } = JSON.parse(await peers.succeed("nbdinfo", ["--list", "--json", uri("")])) as {
      exports: readonly Record<string, unknown>[];
    };
    expect(exports.map(({ "export-name": name }) => name)).toEqual(["chain", "odd", "work"]);
    expect(exports[0]).toMatchObject({ description: "a chain of two", is_read_only: true, can_multi_conn: true, can_df: true });
    expect(exports[1]).toMatchObject({ "export-size": 1_000_001, block_size_minimum: 1, block_size_maximum: 33_554_432 });
    expect(exports[2]).toMatchObject({
      is_read_only: false,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_fast_zero: true,
      can_cache: true,
    });
  });
});

describe("copies", () => {
  it("of a chain by nbdcopy, over several connections, have its bytes and its holes", async () => {
    await peers.succeed("nbdcopy", ["--connections=4", uri("chain"), peers.path("copy.raw")]);
    expect(readFileSync(peers.path("copy.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    expect(statSync(peers.path("copy.raw")).blocks).toBeLessThanOrEqual(statSync(peers.path("top.raw")).blocks);
  });

  it("of a disk of odd size end with its last byte", async () => {
    await peers.succeed("nbdcopy", [uri("odd"), peers.path("odd-copy.raw")]);
    expect(readFileSync(peers.path("odd-copy.raw")).equals(readFileSync(peers.path("odd.raw")))).toBe(true);
  });

  it("over TCP by nbdcopy, and with simple replies by nbdsh", async () => {
    const chain = await peers.graph.open(peers.path("top.qcow2"), { readOnly: true });
    const tcp = await NbdServer.start({ listen: { port: 0 }, exports: [{ name: "", node: chain }] });
    await peers.succeed("nbdcopy", [tcp.uri(), peers.path("tcp.raw")]);
    expect(readFileSync(peers.path("tcp.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    const script = `
h.set_request_structured_replies(False)
h.set_opt_mode(False)
h.connect_uri("${tcp.uri()}")
assert not h.get_structured_replies_negotiated()
open("${peers.path("simple.raw")}", "wb").write(h.pread(h.get_size(), 0))
`;
    await peers.succeed("nbdsh", ["-c", script]);
    expect(readFileSync(peers.path("simple.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    await tcp.close();
    await chain[Symbol.asyncDispose]();
  });

  it("by qemu-img compare equal", async () => {
    expect(await peers.succeed("qemu-img", ["compare", "-f", "raw", "-F", "raw", uri("chain"), peers.path("top.raw")])).toContain(
      "identical",
    );
  });
});

it("qemu-io writes, zeroes, discards and flushes, and reads it back", async () => {
  const commands = ["write -P 3 0 5M", "write -f -P 4 5M 64k", "write -z 1M 512k", "write -z -u 2M 1M", "discard 3M 1M", "flush"];
  const checks = ["read -P 3 0 1M", "read -P 0 1M 512k", "read -P 3 1536k 512k", "read -P 0 2M 1M", "read -P 4 5M 64k", "read -P 0 6M 50M"];
  const output = await peers.succeed("qemu-io", [
    "-f",
    "raw",
    ...[...commands, ...checks].flatMap((command) => ["-c", command]),
    uri("work"),
  ]);
  expect(output).not.toMatch(/fail|error/i);
});

it("nbdsh reaches what no command sends: cache, fast zeros, no hole, FUA, DF, two contexts", async () => {
  const script = `
h.add_meta_context("base:allocation")
h.add_meta_context("qemu:allocation-depth")
h.connect_uri("${uri("chain")}")
assert h.can_meta_context("qemu:allocation-depth")
found = {}
h.block_status(h.get_size(), 0, lambda name, offset, extents, error: found.update({name: extents}))
assert len(found) == 2, found
assert sum(found["base:allocation"][0::2]) == h.get_size()
h.cache(1024 * 1024, 0)
assert h.pread_structured(100, 5 * 1024 * 1024, lambda data, offset, status, error: None, nbd.CMD_FLAG_DF) == b"\\x02" * 100
chunks = []
h.pread_structured(1024 * 1024, 512 * 1024, lambda data, offset, status, error: chunks.append(status))
assert nbd.READ_HOLE in chunks and nbd.READ_DATA in chunks, chunks
for call in (lambda: h.pread(512, h.get_size() - 1, 0), lambda: h.pwrite(b"x", 0)):
    try:
        call()
        assert False
    except nbd.Error as error:
        assert error.errno in ("EINVAL", "EPERM"), error.errno
h.shutdown()
w = nbd.NBD()
w.connect_uri("${uri("work")}")
w.pwrite(b"abc" * 1000, 7_000_001, nbd.CMD_FLAG_FUA)
w.zero(1000, 7_000_001, nbd.CMD_FLAG_FAST_ZERO)
w.zero(1000, 7_001_001, nbd.CMD_FLAG_NO_HOLE)
assert w.pread(3000, 7_000_001) == bytes(2000) + (b"abc" * 1000)[2000:]
w.trim(65536, 0)
w.flush()
w.set_strict_mode(0)
try:
    w.pwrite(b"abc", w.get_size())
    assert False
except nbd.Error as error:
    assert error.errno == "ENOSPC", error.errno
w.shutdown()
print("all well")
`;
  expect(await peers.succeed("nbdsh", ["-c", script])).toContain("all well");
});

it("fio writes at random with several requests in flight, and verifies", async () => {
  const job = ["--name=job", "--ioengine=nbd", `--uri=${uri("work")}`, "--rw=randrw", "--bsrange=512-128k", "--size=48M", "--iodepth=32"];
  const output = await peers.succeed("fio", [...job, "--io_size=32M", "--verify=crc32c", "--verify_fatal=1", "--output-format=terse"]);
  expect(output.split(";")[4]).toBe("0");
});
