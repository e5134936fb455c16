/** `--tls-authz`: the real program and ours let the same clients in, by the names in their certificates. */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCertificates, makeClient } from "./certificates.ts";
import { Peers } from "./peers.ts";

const OURS = join(import.meta.dirname, "../../packages/cli/bin/qemu-nbd");
const peers = new Peers();

/** Clients, as OpenSSL writes their names and as QEMU compares them. */
const CLIENTS = {
  laptop: ["/C=GB/ST=London/O=Example, Org/OU=a+OU=b/CN=laptop.example", "C=GB,ST=London,O=Example\\, Org,OU=a+OU=b,CN=laptop.example"],
  mail: ["/CN=Zoë/emailAddress=zoe@example.org/UID=zoe", "CN=Zoë,EMAIL=zoe@example.org,UID=zoe"],
  tablet: ["/O=Example/CN=tablet.example", "O=Example,CN=tablet.example"],
} as const;
type Client = keyof typeof CLIENTS;
const NAMES = Object.keys(CLIENTS) as readonly Client[];

beforeAll(() => {
  makeCertificates(peers.path("pki"));
  for (const name of NAMES) makeClient(peers.path("pki"), peers.path(name), CLIENTS[name][0]);
  writeFileSync(peers.path("disk.raw"), Buffer.alloc(1024 * 1024));
});
afterAll(() => peers[Symbol.asyncDispose]());

const simple = (name: Client): string => `authz-simple,id=who,identity=${CLIENTS[name][1].replaceAll(",", ",,")}`;
const list = (rules: readonly object[], policy?: string): string => JSON.stringify({ "qom-type": "authz-list", id: "who", rules, policy });

const OBJECTS: readonly (readonly [about: string, object: string, allowed: readonly Client[]])[] = [
  ["one name, with all that must be escaped", simple("laptop"), ["laptop"]],
  ["one name, with attributes that two libraries call otherwise", simple("mail"), ["mail"]],
  ["a list without rules", list([]), []],
  ["a pattern", list([{ match: "*,CN=*.example", policy: "allow", format: "glob" }]), ["laptop", "tablet"]],
  [
    "the first rule that fits",
    list(
      [
        { match: "O=Example,CN=tablet.example", policy: "deny" },
        { match: "O=Exa?ple,*", policy: "allow", format: "glob" },
      ],
      "allow",
    ),
    ["laptop", "mail"],
  ],
];

describe.each([
  ["the real program", "qemu-nbd"],
  ["ours", OURS],
])("%s", (_, program) => {
  it.each(OBJECTS)("%s", async (about, object, allowed) => {
    const socket = `${program === OURS ? "ours" : "theirs"}-${OBJECTS.findIndex(([other]) => other === about)}.sock`;
    const credentials = `tls-creds-x509,id=tls,endpoint=server,verify-peer=on,dir=${peers.path("pki")}`;
    const tls = ["--object", credentials, "--tls-creds=tls", "--object", object, "--tls-authz=who"];
    const server = await peers.serve(program, ["-t", "-e", "0", ...tls, "-k", peers.path(socket), "-f", "raw", "disk.raw"], socket);
    const found: Client[] = [];
    for (const name of NAMES) {
      const words = ["info", "--object", `tls-creds-x509,id=tls,endpoint=client,dir=${peers.path(name)}`, "--image-opts"];
      const image = `driver=nbd,path=${peers.path(socket)},tls-creds=tls,tls-hostname=localhost`;
      if ((await peers.run("qemu-img", [...words, image])).status === 0) found.push(name);
    }
    expect(found).toEqual(allowed);
    await peers.end(server);
  });
});

// The real program of 7.2 knows the type by no name that it can make one by.
it("a list in a file, which is read anew for each client, lets nobody in while it cannot be read", async () => {
  const write = (client: Client): void =>
    writeFileSync(peers.path("changing.json"), JSON.stringify({ rules: [{ match: CLIENTS[client][1], policy: "allow" }] }));
  write("tablet");
  const credentials = `tls-creds-x509,id=tls,endpoint=server,dir=${peers.path("pki")}`;
  const tls = ["--object", credentials, "--tls-creds=tls", "--object", "authz-list-file,id=who,filename=changing.json", "--tls-authz=who"];
  const server = await peers.serve(
    OURS,
    ["-v", "-t", "-e", "0", ...tls, "-k", peers.path("new.sock"), "-f", "raw", "disk.raw"],
    "new.sock",
  );
  let told = "";
  server.stderr?.on("data", (text: Buffer) => (told += text.toString()));
  const isLetIn = async (client: Client): Promise<boolean> => {
    const object = `tls-creds-x509,id=tls,endpoint=client,dir=${peers.path(client)}`;
    const words = ["-L", "-k", peers.path("new.sock"), "--object", object, "--tls-creds=tls", "--tls-hostname=localhost"];
    const { status, stdout } = await peers.run("qemu-nbd", words);
    return status === 0 && stdout.includes("exports available: 1");
  };
  expect([await isLetIn("tablet"), await isLetIn("mail")]).toEqual([true, false]);
  write("mail");
  expect([await isLetIn("tablet"), await isLetIn("mail")]).toEqual([false, true]);
  writeFileSync(peers.path("changing.json"), "{");
  expect(await isLetIn("mail")).toBe(false);
  expect(told).toContain(`TLS x509 authz check for ${CLIENTS.mail[1]} is denied`);
  expect(told).toMatch(/was cut off: TLS x509 authz check for CN=Zoë,\S+ failed: Unable to parse 'changing\.json'/);
  await peers.end(server);
  expect(existsSync(peers.path("new.sock"))).toBe(false);
});

it("keys that both sides know have no names to allow, and an object must be there", async () => {
  writeFileSync(peers.path("keys.psk"), `alice:${"5a".repeat(32)}\n`);
  const psk = ["--object", `tls-creds-psk,id=tls,endpoint=server,dir=${peers.folder}`, "--tls-creds=tls", "--tls-authz=who"];
  const words = ["-k", peers.path("none.sock"), "-f", "raw", "disk.raw"];
  const simply = ["--object", "authz-simple,id=who,identity=x"];
  expect((await peers.run(OURS, [...psk, ...simply, ...words])).stderr).toContain("--tls-authz needs certificates that are verified");
  expect((await peers.run(OURS, [...psk.slice(0, -1), "--tls-authz=nobody", ...words])).stderr).not.toBe("");
  const x509 = ["--object", `tls-creds-x509,id=tls,endpoint=server,dir=${peers.path("pki")}`, "--tls-creds=tls", "--tls-authz=nobody"];
  expect(await peers.run(OURS, [...x509, ...words])).toMatchObject({
    status: 1,
    stderr: "qemu-nbd: Cannot find QAuthZ object ID nobody\n",
  });
});
