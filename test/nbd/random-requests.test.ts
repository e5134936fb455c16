/** One client, libnbd with dice, at our server and at qemu-nbd: the same answers to the same requests, and the same disk in the end. */

import { copyFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NbdServer } from "@coblock/nbd";
import { Peers } from "./peers.ts";

/** Sessions for each kind of export; more by hand: COBLOCK_NBD_SESSIONS=1000 npx vitest run test/nbd/random-requests.test.ts */
const SESSIONS = Number(process.env["COBLOCK_NBD_SESSIONS"] ?? 12);
/** Half a second for each session at each server is much. */
const LONGEST_MS = 60_000 + SESSIONS * 1000;
const CLIENT = fileURLToPath(new URL("random-client.py", import.meta.url));
const peers = new Peers();

beforeAll(async () => {
  peers.makeChain();
  await peers.succeed("qemu-img", ["bitmap", "--add", "-g", "65536", peers.path("top.qcow2"), "b0"]);
  await peers.succeed("qemu-io", ["-f", "qcow2", "-c", "write -P 9 9M 700k", "-c", "write -P 8 300k 3k", peers.path("top.qcow2")]);
});
afterAll(() => peers[Symbol.asyncDispose]());

function talk(socket: string, writable: boolean): Promise<string> {
  return peers.succeed("python3", [CLIENT, peers.socketUri(socket, "x"), String(SESSIONS), writable ? "rw" : "ro"]);
}

describe.each([
  ["a disk that is read", false],
  ["a disk that is written", true],
])("%s", (_, writable) => {
  it("is the same at both", { timeout: LONGEST_MS }, async () => {
    const [theirs, ours] = writable ? ["theirs.qcow2", "ours.qcow2"] : ["top.qcow2", "top.qcow2"];
    if (writable) for (const copy of [theirs, ours]) copyFileSync(peers.path("top.qcow2"), peers.path(copy));
    const words = writable ? [] : ["-r", "-B", "b0"];
    const socket = `theirs-${String(writable)}.sock`;
    const server = await peers.serve(
      "qemu-nbd",
      ["-t", "-e", "2", "-A", "--discard=unmap", "-x", "x", ...words, "-k", peers.path(socket), "-f", "qcow2", peers.path(theirs)],
      socket,
    );
    const expected = await talk(socket, writable);
    await peers.end(server);

    await using node = await peers.graph.open(peers.path(ours), { readOnly: !writable });
    const listen = { path: peers.path(`ours-${String(writable)}.sock`) };
    const bitmaps = writable ? [] : ["b0"];
    await using our = await NbdServer.start({ listen, exports: [{ name: "x", node, writable, allocationDepth: true, bitmaps }] });
    const found = await talk(`ours-${String(writable)}.sock`, writable);
    await our.close();
    await node[Symbol.asyncDispose]();

    expect(found.split("\n")).toEqual(expected.split("\n"));
    expect(found.split("\n").length).toBeGreaterThan(SESSIONS * 20);
    if (writable) expect(await peers.succeed("qemu-img", ["compare", peers.path(theirs), peers.path(ours)])).toContain("identical");
    await peers.succeed("qemu-img", ["check", peers.path(ours)]);
  });
});
