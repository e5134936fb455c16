/** Images on web servers through the whole of Coblock, beside qemu-img's own client, which is its module "block-curl.so". */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { main } from "@coblock/cli";
import { BlockGraph, copyDisk, fileDriver, rawDriver } from "@coblock/core";
import { httpDriver, httpsDriver } from "@coblock/http";
import { qcow2Driver } from "@coblock/qcow2";
import { Peers } from "../nbd/peers.ts";
import { FileServer } from "./file-server.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const peers = new Peers();
const drivers = [fileDriver, rawDriver, qcow2Driver, httpDriver, httpsDriver];
const graph = new BlockGraph({ drivers, implicitOpen: "allow" });
let server: FileServer;

beforeAll(async () => {
  peers.makeChain();
  server = await FileServer.start(peers.folder);
});
afterAll(async () => {
  await graph[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await peers[Symbol.asyncDispose]();
});

async function coblock(...words: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await main(words, {
    stdout: { write: (text) => (written.stdout += text) },
    stderr: { write: (text) => (written.stderr += text) },
  });
  return { exitCode, ...written };
}

const bytesOf = (name: string): Buffer => readFileSync(peers.path(name));

it("a chain whose images are all on the server: the base by its relative name", async () => {
  expect(await coblock("convert", "-O", "raw", server.url("top.qcow2"), peers.path("ours.raw"))).toMatchObject({ exitCode: 0, stderr: "" });
  expect(bytesOf("ours.raw").equals(bytesOf("top.raw"))).toBe(true);
  await peers.succeed("qemu-img", ["convert", "-O", "raw", server.url("top.qcow2"), "theirs.raw"]);
  expect(bytesOf("theirs.raw").equals(bytesOf("ours.raw"))).toBe(true);
});

it("so also where the URL is an option", async () => {
  await using node = await graph.open({ driver: "qcow2", file: { driver: "http", url: server.url("top.qcow2") } }, { readOnly: true });
  expect(node.children.get("backing")?.node.fileName).toBe(server.url("base.qcow2"));
});

it("an overlay on a URL takes writes, and fetches only what it needs, less than qemu-img does", async () => {
  await peers.succeed("qemu-img", ["create", "-f", "qcow2", "-b", server.url("base.qcow2"), "-F", "qcow2", "overlay.qcow2"]);
  const ours = await server.count(async () => {
    await using disk = await graph.open(peers.path("overlay.qcow2"));
    const bytes = Buffer.alloc(4096);
    await disk.read(6 * MIB, bytes);
    expect(bytes.equals(Buffer.alloc(4096, 2))).toBe(true);
    await disk.write(6 * MIB + 4096, Buffer.alloc(4096, 9));
  });
  // The header with its neighbours, an L1 and an L2 table, the read, and what a new cluster takes from below.
  expect(ours.sent).toBeLessThan(4 * 64 * KIB);
  const theirs = await server.count(() =>
    peers.succeed("qemu-io", ["-f", "qcow2", "-r", "-c", "read -P 2 6M 4k", "-c", "read -P 9 6148k 4k", "overlay.qcow2"]),
  );
  expect(ours.sent).toBeLessThan(theirs.sent);
});

it("a copy of a disk fetches its data once", async () => {
  await using source = await graph.open(server.url("base.qcow2"), { readOnly: true });
  await graph.create({ driver: "raw", filename: peers.path("copy.raw"), size: source.size });
  const { sent } = await server.count(async () => {
    await using target = await graph.open({ driver: "raw", file: peers.path("copy.raw") });
    await copyDisk({ source, target });
  });
  expect(sent).toBeLessThan(4 * MIB + 256 * KIB);
  await peers.succeed("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", "base.qcow2", "copy.raw"]);
});

it("`info`, `map`, `compare`, `check` and `create -b` take URLs", async () => {
  expect((await coblock("info", server.url("top.qcow2"))).stdout).toContain(
    `backing file: base.qcow2 (actual path: ${server.url("base.qcow2")})`,
  );
  expect(await coblock("compare", server.url("top.qcow2"), peers.path("top.raw"))).toMatchObject({ exitCode: 0 });
  expect(await coblock("check", server.url("base.qcow2"))).toMatchObject({ exitCode: 0 });
  expect(await coblock("create", "-f", "qcow2", "-b", server.url("base.qcow2"), "-F", "qcow2", peers.path("new.qcow2"))).toMatchObject({
    exitCode: 0,
  });
  expect((await coblock("map", "--output=json", peers.path("new.qcow2"))).stdout).toContain('"depth": 1');
});

it("a name, a password and other options come from the command line", async () => {
  server.credentials = "ali:open sesame";
  try {
    const image = `driver=qcow2,file.driver=http,file.url=${server.url("base.qcow2")},file.username=ali,file.readahead=64k,file.timeout=9,file.password-secret=pw`;
    expect(await coblock("info", "--image-opts", image, "--object", "secret,id=pw,data=open sesame")).toMatchObject({ exitCode: 0 });
    const refused = await coblock("info", "--image-opts", image, "--object", "secret,id=pw,data=wrong");
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.stderr).toContain("the server does not let us read the file (401)");
  } finally {
    server.credentials = undefined;
  }
});

it("a server without ranges is refused in one line, as qemu-img refuses it", async () => {
  const script =
    "import http.server,sys\ns=http.server.ThreadingHTTPServer(('127.0.0.1',0),http.server.SimpleHTTPRequestHandler)\nprint(s.server_port,flush=True)\ns.serve_forever()";
  await using python = await peers.talk("python3", ["-c", script]);
  const url = `http://127.0.0.1:${python.line}/base.qcow2`;
  const { exitCode, stderr } = await coblock("info", url);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: `coblock: ${url}: the server sends whole files only (it answered 200 to a request for a range); download the file first\n`,
  });
  expect((await peers.run("qemu-img", ["info", url])).stderr).toContain("does not support 'range'");
});

it("a file that is written while it is open is not read on", async () => {
  writeFileSync(peers.path("changing.raw"), Buffer.alloc(MIB, 1));
  await using node = await graph.open({ driver: "http", url: server.url("changing.raw") }, { readOnly: true });
  writeFileSync(peers.path("changing.raw"), Buffer.alloc(MIB + 1, 2));
  await expect(node.read(0, Buffer.alloc(MIB))).rejects.toThrow("the file changed on the server while it was open");
});

it("https: certificates are verified, unless they need not be", async () => {
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "9"];
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", ...subject];
  execFileSync("openssl", words, { cwd: peers.folder, stdio: "pipe" });
  await using secure = await FileServer.start(peers.folder, { key: bytesOf("key.pem"), cert: bytesOf("cert.pem") });
  const url = secure.url("base.qcow2");
  await expect(graph.open(url, { readOnly: true })).rejects.toThrow(`${url}: self-signed certificate`);
  await using node = await graph.open({ driver: "qcow2", file: { driver: "https", url, sslverify: false } }, { readOnly: true });
  const bytes = Buffer.alloc(MIB);
  await node.read(0, bytes);
  expect(bytes.equals(Buffer.alloc(MIB, 1))).toBe(true);
});
