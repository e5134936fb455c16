import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { NbdOptions } from "../entry.ts";
import { resolveTarget } from "./target.ts";

describe("names", () => {
  test.each([
    ["nbd://example.org", { host: "example.org", port: 10_809 }, ""],
    ["nbd://example.org:99/disk", { host: "example.org", port: 99 }, "disk"],
    ["nbd+tcp://[::1]:99/a%20b/c", { host: "::1", port: 99 }, "a b/c"],
    ["nbd:///x", { host: "localhost", port: 10_809 }, "x"],
    ["nbd+unix:///?socket=/tmp/s", { path: "/tmp/s" }, ""],
    ["nbd+unix:///%C3%A9//x?socket=/tmp/a%20b", { path: "/tmp/a b" }, "é//x"],
    ["nbd+unix:///a+b?socket=/tmp/c+d%26e", { path: "/tmp/c+d&e" }, "a+b"],
    ["nbd://host/a/../b/./c", { host: "host", port: 10_809 }, "a/../b/./c"],
    ["nbd+unix://alice@/x?socket=/tmp/s", { path: "/tmp/s" }, "x"],
    ["nbd://example.org:/x", { host: "example.org", port: 10_809 }, "x"],
    ["nbd:localhost:99", { host: "localhost", port: 99 }, ""],
    ["nbd:[::1]:99:exportname=a:b", { host: "::1", port: 99 }, "a:b"],
    ["nbd:unix:/tmp/s:exportname=x", { path: "/tmp/s" }, "x"],
  ])("%s", async (filename, address, exportName) => {
    expect(await resolveTarget({ filename })).toEqual({ address, exportName, tls: undefined });
  });

  test.each([
    ["nbd+unix:///x", /names no socket/],
    ["nbd://host/x?socket=/tmp/s", /not of nbd\+unix/],
    ["nbd+unix://host/x?socket=/tmp/s", /names a host and a socket/],
    ["nbd://host/x?sokcet=/tmp/s", /unknown parameter 'sokcet'/],
    ["nbd://host:99999/", /'99999' is no port/],
    ["nbd://host:1:2/", /'host:1:2' names no server/],
    ["nbd://host/x#y", /behind a '#'/],
    ["nbd+unix://:99/x?socket=/tmp/s", /a host and a socket/],
    ["nbd:host", /neither a URI/],
    ["nbds://host/", /TLS needs credentials/],
    ["nbds://host/?tls-psk-file=/nowhere/my.psk", /'\/nowhere\/my\.psk'/],
    ["nbd://host/%zz", /'%' that no two/],
    ["nbd+unix:///?socket=/tmp/%", /'%' that no two/],
    ["ssh://host/", /no scheme of NBD/],
  ])("%s is refused", async (filename, message) => {
    await expect(resolveTarget({ filename })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(message) as unknown,
    });
  });
});

describe("options", () => {
  const resolve = (options: unknown): ReturnType<typeof resolveTarget> => resolveTarget(options as NbdOptions);

  test("as blockdev-add has them; ports may be text", async () => {
    const unix = await resolve({ server: { type: "unix", path: "/tmp/s" }, export: "x" });
    expect(unix).toEqual({ address: { path: "/tmp/s" }, exportName: "x", tls: undefined });
    const inet = await resolve({ server: { type: "inet", host: "h", port: "99" } });
    expect(inet.address).toEqual({ host: "h", port: 99 });
  });

  test.each([
    [{}, /no server is named/],
    [{ path: "/tmp/s", host: "h" }, /'path' and 'host' exclude/],
    [{ filename: "nbd://h/", export: "x" }, /'export' and a file name exclude/],
    [{ server: { type: "fd", str: "3" } }, /server type 'fd'/],
    [{ server: {} }, /the server's 'type' is missing/],
    [{ server: { type: "unix" } }, /the server's 'path' is missing/],
    [{ server: { type: "inet", port: 1 } }, /the server's 'host' is missing/],
    [{ path: 7 }, /option 'path' cannot be 7/],
    [{ server: "h:10809" }, /'server' is no object/],
    [{ host: "h", port: 0 }, /'0' is no port/],
    [{ host: "h", tlsCreds: "tls0" }, /no folder/],
    [{ host: "h", tlsCreds: { dir: "/nowhere" } }, /Could not read the TLS credentials in '\/nowhere\/ca-cert.pem'/],
  ])("%j is refused", async (options, message) => {
    await expect(resolve(options)).rejects.toThrow(message);
  });

  test("a file that is no certificate, and one without a key, are named", async () => {
    const dir = mkdtempSync(join(tmpdir(), "coblock-nbd-tls-"));
    writeFileSync(join(dir, "ca-cert.pem"), "junk\n");
    writeFileSync(join(dir, "keys.psk"), "# nobody\n");
    await expect(resolve({ host: "h", tlsCreds: { dir } })).rejects.toThrow(/ca-cert.pem' has no certificate that can be read/);
    await expect(resolve({ host: "h", tlsCreds: { dir, username: "alice" } })).rejects.toThrow(/keys.psk: there is no key in it/);
    rmSync(dir, { recursive: true });
  });

  test("on a Unix socket the name in the certificate must be told", async () => {
    const tlsCreds = { kind: "certificates", authority: Buffer.alloc(0) } as const;
    await expect(resolveTarget({ path: "/tmp/s", tlsCreds })).rejects.toThrow(/name in the server's certificate/);
    expect((await resolveTarget({ path: "/tmp/s", tlsCreds, tlsHostname: "h" })).tls?.hostName).toBe("h");
    expect((await resolveTarget({ host: "example.org", tlsCreds })).tls?.hostName).toBe("example.org");
  });
});
