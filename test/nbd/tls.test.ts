/** TLS with certificates and with pre-shared keys, both ways, against programs that use another library for it. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BlockNode } from "@coblock/core";
import { loadCertificates, loadPreSharedKeys, NbdServer, type NbdServerEvent } from "@coblock/nbd";
import { makeCertificates } from "./certificates.ts";
import { Peers } from "./peers.ts";

const peers = new Peers();
let chain: BlockNode;

beforeAll(async () => {
  peers.makeChain();
  makeCertificates(peers.path("pki"));
  makeCertificates(peers.path("strangers"));
  mkdirSync(peers.path("anyone"));
  copyFileSync(peers.path("strangers/ca-cert.pem"), peers.path("anyone/ca-cert.pem"));
  mkdirSync(peers.path("psk"));
  writeFileSync(peers.path("psk/keys.psk"), `alice:${"0123456789abcdef".repeat(4)}\n`, { mode: 0o600 });
  chain = await peers.graph.open(peers.path("top.qcow2"), { readOnly: true });
});
afterAll(() => peers[Symbol.asyncDispose]());

describe("our server", () => {
  let server: NbdServer;
  const events: NbdServerEvent[] = [];
  let port = 0;

  beforeAll(async () => {
    const credentials = await loadCertificates(peers.path("pki"), "server");
    server = await NbdServer.start({
      listen: { port: 0 },
      exports: [{ name: "chain", node: chain }],
      tls: { credentials },
      onEvent: (event) => events.push(event),
    });
    ({ port } = server.address as { port: number });
  });
  afterAll(() => server.close());

  it("is read by nbdcopy with a certificate over TCP, and by qemu-img", async () => {
    expect(server.uri("chain")).toBe(`nbds://127.0.0.1:${port}/chain`);
    await peers.succeed("nbdcopy", [`nbds://localhost:${port}/chain?tls-certificates=${peers.path("pki")}`, peers.path("tls.raw")]);
    expect(readFileSync(peers.path("tls.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
    const object = `tls-creds-x509,id=tls0,endpoint=client,dir=${peers.path("pki")}`;
    const image = `driver=nbd,host=localhost,port=${port},export=chain,tls-creds=tls0`;
    expect(await peers.succeed("qemu-img", ["info", "--object", object, "--image-opts", image])).toContain("virtual size: 24 MiB");
  });

  it("tells a client without TLS nothing but that it is required, and refuses strangers", async () => {
    const { status, stderr } = await peers.run("nbdinfo", [`nbd://localhost:${port}/chain`]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/TLS|export|policy/i)]);
    expect((await peers.run("nbdinfo", ["--list", `nbd://localhost:${port}/`])).status).not.toBe(0);
    expect((await peers.run("nbdinfo", [`nbds://localhost:${port}/chain?tls-certificates=${peers.path("strangers")}`])).status).not.toBe(0);
    mkdirSync(peers.path("nobody"));
    writeFileSync(peers.path("nobody/ca-cert.pem"), readFileSync(peers.path("pki/ca-cert.pem")));
    expect((await peers.run("nbdinfo", [`nbds://localhost:${port}/chain?tls-certificates=${peers.path("nobody")}`])).status).not.toBe(0);
    expect(events.some(({ kind }) => kind === "chosen")).toBe(true);
    expect(events.some((event) => event.kind === "chosen" && !event.secure)).toBe(false);
  });

  it("hangs up on a client that sends anything in the clear behind STARTTLS", async () => {
    const socket = connect(port, "127.0.0.1");
    const options = Buffer.alloc(4 + 16 + 16);
    options.writeUInt32BE(3, 0);
    for (const [at, option] of [
      [4, 5],
      [20, 8],
    ] as const) {
      options.write("IHAVEOPT", at);
      options.writeUInt32BE(option, at + 8);
    }
    const received: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => received.push(bytes));
    socket.write(options);
    await new Promise((resolve) => socket.once("close", resolve));
    expect(Buffer.concat(received).length).toBe(18);
  });

  it("is read by our client, which checks the name in the certificate unless told not to", async () => {
    const open = (options: object): Promise<BlockNode> =>
      peers.graph.open(
        { driver: "nbd", host: "127.0.0.1", port, export: "chain", tlsCreds: { dir: peers.path("pki") }, ...options },
        { readOnly: true },
      );
    const node = await open({});
    const bytes = Buffer.alloc(node.size);
    await node.read(0, bytes);
    expect(bytes.equals(readFileSync(peers.path("top.raw")))).toBe(true);
    await node[Symbol.asyncDispose]();
    await expect(open({ tlsHostname: "elsewhere.example" })).rejects.toThrow(/elsewhere.example|altnames/i);
    await expect(open({ tlsCreds: { dir: peers.path("strangers") } })).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(open({ tlsCreds: undefined })).rejects.toThrow(/TLS is required/);
    const filename = `nbds://127.0.0.1:${port}/chain?tls-certificates=${peers.path("pki")}&tls-hostname=other.example&tls-verify-peer=0`;
    await using careless = await peers.graph.open({ driver: "nbd", filename }, { readOnly: true });
    expect(careless.size).toBe(24 * 1024 * 1024);
  });
});

it("pre-shared keys: our server on a Unix socket with nbdcopy and with our client; a wrong key opens nothing", async () => {
  const credentials = await loadPreSharedKeys(peers.path("psk/keys.psk"), "alice");
  await using server = await NbdServer.start({
    listen: { path: peers.path("psk.sock") },
    exports: [{ name: "", node: chain }],
    tls: { credentials },
  });
  const psk = `tls-psk-file=${peers.path("psk/keys.psk")}`;
  await peers.succeed("nbdcopy", [`nbds+unix://alice@/?socket=${peers.path("psk.sock")}&${psk}`, peers.path("psk.raw")]);
  expect(readFileSync(peers.path("psk.raw")).equals(readFileSync(peers.path("top.raw")))).toBe(true);
  const path = peers.path("psk.sock");
  await using node = await peers.graph.open(
    { driver: "nbd", path, tlsCreds: { dir: peers.path("psk"), username: "alice" } },
    { readOnly: true },
  );
  expect(node.size).toBe(24 * 1024 * 1024);
  const wrong = { kind: "psk", keys: new Map([["alice", Buffer.alloc(32, 1)]]), username: "alice" } as const;
  await expect(peers.graph.open({ driver: "nbd", path, tlsCreds: wrong }, { readOnly: true })).rejects.toMatchObject({
    code: "NOT_ALLOWED",
  });
  await node[Symbol.asyncDispose]();
  await server.close();
});

describe("credentials that the options of an image name", () => {
  it.each([
    ["a certificate", "tls-creds-x509,id=t,dir=pki,endpoint=client", "t", 0],
    ["a key", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=client", "t", 0],
    ["none of that name", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=client", "u", 1],
    ["those of a server", "tls-creds-x509,id=t,dir=pki,endpoint=server", "t", 1],
    ["a key of a server, with a name", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=server", "t", 1],
    ["an authority that is not the server's", "tls-creds-x509,id=t,dir=anyone,endpoint=client", "t", 1],
    ["one, but the server need not prove itself", "tls-creds-x509,id=t,dir=anyone,endpoint=client,verify-peer=off", "t", 0],
  ])("are the same for qemu-img: %s", async (_what, object, id, status) => {
    const kind = object.startsWith("tls-creds-psk") ? "psk" : "certificates";
    const credentials =
      kind === "psk" ? await loadPreSharedKeys(peers.path("psk/keys.psk"), "alice") : await loadCertificates(peers.path("pki"), "server");
    await using server = await NbdServer.start({
      listen: { host: "127.0.0.1", port: 0 },
      exports: [{ name: "", node: chain }],
      tls: { credentials, verifyPeer: !object.includes("dir=anyone") },
    });
    const { address } = server;
    if (!("port" in address)) throw new Error("the server listens on TCP");
    const said = [];
    for (const program of ["qemu-img", join(import.meta.dirname, "../../packages/cli/bin/qemu-img")])
      said.push(
        await peers.run(program, [
          "info",
          "--object",
          object,
          "--image-opts",
          `driver=nbd,host=localhost,port=${address.port},tls-creds=${id}`,
        ]),
      );
    expect(said[1]).toEqual(said[0]);
    expect(said[0]).toHaveProperty("status", status);
    await server.close();
  });
});

describe("our client with qemu-nbd", () => {
  it.each([
    ["certificates", ["tls-creds-x509,id=t,endpoint=server,verify-peer=on,dir="], "pki", { dir: "pki" }],
    ["pre-shared keys", ["tls-creds-psk,id=t,endpoint=server,dir="], "psk", { dir: "psk", username: "alice" }],
  ])("%s", async (_, [object = ""], folder, creds) => {
    const socket = `${folder}-q.sock`;
    const words = [
      "-r",
      "-t",
      "-e",
      "0",
      "-k",
      peers.path(socket),
      "--object",
      object + peers.path(folder),
      "--tls-creds",
      "t",
      "-f",
      "qcow2",
      peers.path("top.qcow2"),
    ];
    const child = await peers.serve("qemu-nbd", words, socket);
    const tlsCreds = { ...creds, dir: peers.path(creds.dir) };
    const node = await peers.graph.open(
      { driver: "nbd", path: peers.path(socket), tlsCreds, tlsHostname: "localhost" },
      { readOnly: true },
    );
    const bytes = Buffer.alloc(node.size);
    await node.read(0, bytes);
    expect(bytes.equals(readFileSync(peers.path("top.raw")))).toBe(true);
    await node[Symbol.asyncDispose]();
    await peers.end(child);
  });
});
