/** The program qemu-nbd and the real one, each listed and read by the other's clients: over TLS, with bitmaps, from an offset on. */

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCertificates } from "./certificates.ts";
import { Peers } from "./peers.ts";

const OURS = join(import.meta.dirname, "../../packages/cli/bin/qemu-nbd");
const PROGRAMS = { theirs: "qemu-nbd", ours: OURS } as const;
const QEMU_IMG = { theirs: "qemu-img", ours: join(import.meta.dirname, "../../packages/cli/bin/qemu-img") } as const;
type Whose = keyof typeof PROGRAMS;
const peers = new Peers();

beforeAll(async () => {
  makeCertificates(peers.path("pki"));
  await peers.succeed("qemu-img", ["create", "-f", "qcow2", "disk.qcow2", "8M"]);
  for (const name of ["early", "late"]) {
    await peers.succeed("qemu-img", ["bitmap", "--add", "-g", "64k", "disk.qcow2", name]);
    await peers.succeed("qemu-io", ["-f", "qcow2", "-c", `write -P 3 ${name === "early" ? "1M 128k" : "5M 64k"}`, "disk.qcow2"]);
  }
});
afterAll(() => peers[Symbol.asyncDispose]());

/** What `ask` learns of each program, which serves as `words` say. */
async function ofBoth(words: readonly string[], ask: (socket: string) => Promise<string>): Promise<Record<Whose, string>> {
  const found = { theirs: "", ours: "" };
  for (const whose of ["theirs", "ours"] as const) {
    const socket = `${whose}.sock`;
    const server = await peers.serve(PROGRAMS[whose], ["-t", "-e", "0", "-k", peers.path(socket), ...words], socket);
    found[whose] = await ask(socket);
    await peers.end(server);
  }
  return found;
}

describe("an image that was preallocated", () => {
  beforeAll(async () => {
    await peers.succeed("qemu-img", ["create", "-f", "qcow2", "-o", "preallocation=metadata", "kept.qcow2", "8M"]);
    await peers.succeed("qemu-io", ["-f", "qcow2", "-c", "write -P 3 1M 64k", "-c", "write -z 2M 128k", "kept.qcow2"]);
  });

  it("has holes where the host has stored nothing", async () => {
    const { theirs, ours } = await ofBoth(["-r", "-f", "qcow2", "kept.qcow2"], (socket) =>
      peers.succeed("nbdinfo", ["--map", peers.socketUri(socket)]),
    );
    expect(ours).toBe(theirs);
    expect(ours).toMatch(/ 2 +zero\n/);
  });

  it.each([
    ["theirs", "map"],
    ["ours", "map"],
    ["theirs", "info"],
    ["theirs", "measure"],
  ] as const)("is served for one connection (%s), which is all that %s needs, also to tell the format", async (whose, command) => {
    const told = { theirs: "", ours: "" };
    for (const client of ["theirs", "ours"] as const) {
      const socket = `${whose}-${command}.sock`;
      const server = await peers.serve(PROGRAMS[whose], ["-k", peers.path(socket), "-r", "-f", "qcow2", "kept.qcow2"], socket);
      const words = { map: ["--output=json"], info: [], measure: ["-O", "qcow2"] }[command];
      told[client] = await peers.succeed(QEMU_IMG[client], [command, ...words, peers.socketUri(socket)]);
      await peers.end(server);
    }
    expect(told.ours).toBe(told.theirs);
  });
});

describe("bitmaps", () => {
  it("two of them, the allocation and the depth, with clients that ask for one or all", async () => {
    const words = ["-r", "-A", "-B", "early", "-B", "late", "-f", "qcow2", "disk.qcow2"];
    for (const context of ["qemu:dirty-bitmap:early", "qemu:dirty-bitmap:late", "qemu:allocation-depth", "base:allocation"]) {
      const { theirs, ours } = await ofBoth(words, (socket) => peers.succeed("nbdinfo", [`--map=${context}`, peers.socketUri(socket)]));
      expect(ours, context).toBe(theirs);
    }
    const listed = await ofBoth(words, (socket) => peers.succeed("nbdinfo", ["--json", peers.socketUri(socket)]));
    // The real program lists bitmaps from the last one on.
    const contextsOf = (text: string): readonly string[] | undefined =>
      (JSON.parse(text) as { exports: readonly { contexts: readonly string[] }[] }).exports[0]?.contexts.toSorted();
    expect(contextsOf(listed.ours)).toEqual(contextsOf(listed.theirs));
  });

  it("of an image below are found, and the depth behind its end is its own", async () => {
    await peers.succeed("qemu-img", ["create", "-f", "qcow2", "-b", "disk.qcow2", "-F", "qcow2", "longer.qcow2", "12M"]);
    for (const context of ["qemu:dirty-bitmap:early", "qemu:allocation-depth"]) {
      const words = ["-r", "-A", "-B", "early", "-f", "qcow2", "longer.qcow2"];
      const { theirs, ours } = await ofBoth(words, (socket) => peers.succeed("nbdinfo", [`--map=${context}`, peers.socketUri(socket)]));
      expect(ours, context).toBe(theirs);
    }
  });

  it("that missed changes, or are not there, are refused before anybody comes", async () => {
    await peers.succeed("cp", ["disk.qcow2", "torn.qcow2"]);
    await peers.run("qemu-io", ["-f", "qcow2", "-c", "write 0 64k", "-c", "abort", "torn.qcow2"]);
    for (const name of ["early", "none"]) {
      const words = ["-B", name, "-k", peers.path("torn.sock"), "-f", "qcow2", "torn.qcow2"];
      const [theirs, ours] = [await peers.run("timeout", ["2", "qemu-nbd", ...words]), await peers.run("timeout", ["5", OURS, ...words])];
      expect(ours).toEqual(theirs);
    }
  });

  it("of a disk that begins further on are told or refused alike", async () => {
    const words = ["-r", "-B", "early", "-o", "1048576", "-k", peers.path("offset.sock"), "-f", "qcow2", "disk.qcow2"];
    const [theirs, ours] = [await peers.run("timeout", ["2", "qemu-nbd", ...words]), await peers.run("timeout", ["5", OURS, ...words])];
    expect(ours).toEqual(theirs);
  });

  it("are what qemu-img map goes by", async () => {
    const map = await ofBoth(["-r", "-B", "late", "-f", "qcow2", "disk.qcow2"], (socket) =>
      peers.succeed("qemu-img", [
        "map",
        "--output=json",
        "--image-opts",
        `driver=nbd,path=${peers.path(socket)},x-dirty-bitmap=qemu:dirty-bitmap:late`,
      ]),
    );
    expect(map.ours).toBe(map.theirs);
    expect(map.ours).toContain('"start": 5242880, "length": 65536');
  });
});

it("lists and disks over TLS with certificates, each program at the other", async () => {
  const object = (endpoint: string): string => `tls-creds-x509,id=tls,endpoint=${endpoint},dir=${peers.path("pki")}`;
  const words = ["--object", object("server"), "--tls-creds=tls", "-x", "disk", "-D", "a disk", "-f", "qcow2", "disk.qcow2"];
  const list = async (program: string, socket: string): Promise<string> =>
    peers.succeed(program, ["-L", "-k", peers.path(socket), "--object", object("client"), "--tls-creds=tls", "--tls-hostname=localhost"]);
  const lists = await ofBoth(words, async (socket) => {
    const [theirs, ours] = [await list("qemu-nbd", socket), await list(OURS, socket)];
    expect(ours).toBe(theirs);
    return ours;
  });
  expect(lists.ours).toContain("description: a disk");
  const image = (socket: string): string => `driver=nbd,path=${peers.path(socket)},export=disk,tls-creds=tls,tls-hostname=localhost`;
  const reads = await ofBoth(words, (socket) =>
    peers.succeed("qemu-io", [
      "--object",
      object("client"),
      "--image-opts",
      "-c",
      "write -P 9 3M 4k",
      "-c",
      "read -P 9 3M 4k",
      image(socket),
    ]),
  );
  expect(reads.ours).not.toContain("verification failed");
  const wrongName = ["-L", "--object", object("client"), "--tls-creds=tls", "--tls-hostname=elsewhere.example"];
  await ofBoth(words, async (socket) => {
    for (const program of Object.values(PROGRAMS))
      expect((await peers.run(program, [...wrongName, "-k", peers.path(socket)])).status).toBe(1);
    return "";
  });
});
