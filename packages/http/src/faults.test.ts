import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ServedDisk } from "./test/served-disk.ts";
import type { Fault } from "./test/test-server.ts";

const LENGTH = 2 * 1024 * 1024;
let disk: ServedDisk;

beforeEach(async () => {
  disk = await ServedDisk.start(LENGTH);
});
afterEach(() => disk[Symbol.asyncDispose]());

/** So many requests from now on go wrong. */
function faulty(count: number, fault: Fault): void {
  const until = disk.server.asked.length + count;
  disk.server.plan = ({ number }) => (number < until ? fault : undefined);
}

describe("failures that pass are tried again", () => {
  test.each<Fault>([
    ...[408, 425, 429, 500, 502, 503, 504].map((status) => ({ kind: "status", status }) as const),
    { kind: "cut", after: -1 },
    { kind: "cut", after: 0 },
    { kind: "cut", after: 3000 },
    { kind: "stall", after: -1 },
    { kind: "stall", after: 100 },
    { kind: "trickle", everyMs: 5 },
  ])("%j", async (fault) => {
    await using node = await disk.open({ timeout: 10 });
    faulty(2, fault);
    expect(await disk.matches(node, 100_000, 9000)).toBe(true);
    faulty(2, fault);
    expect(await disk.matches(node, 200_000, 1_200_000)).toBe(true);
  });

  test("when it is opened, too", async () => {
    faulty(3, { kind: "status", status: 503 });
    await using node = await disk.open();
    expect(await disk.matches(node, 0, 100)).toBe(true);
  });

  test("so often, and no more", async () => {
    await using node = await disk.open({ retries: 3 });
    faulty(1000, { kind: "status", status: 503 });
    await expect(disk.matches(node, 100_000, 10)).rejects.toThrow("disk.raw: the server answered 503 (4 times)");
    expect(disk.server.asked.length).toBe(5);
    disk.server.plan = () => undefined;
    expect(await disk.matches(node, 100_000, 10)).toBe(true);
  });

  test("what has arrived is not asked for again", async () => {
    await using node = await disk.open();
    faulty(1, { kind: "cut", after: 300_000 });
    expect(await disk.matches(node, 0, 1_000_000)).toBe(true);
    const [, first, second] = disk.server.asked;
    expect(first).toMatchObject({ offset: 0, length: 1_000_000 });
    expect(second?.offset).toBeGreaterThan(0);
    expect((second?.offset ?? 0) + (second?.length ?? 0)).toBe(1_000_000);
  });

  test("after the pause that the server asks for, up to a minute", async () => {
    await using node = await disk.open();
    faulty(1, { kind: "status", status: 429, headers: { "retry-after": "17" } });
    expect(await disk.matches(node, 100_000, 10)).toBe(true);
    expect(disk.clock.pausesMs).toContain(17_000);
    faulty(1, { kind: "status", status: 503, headers: { "retry-after": "3600" } });
    await expect(disk.matches(node, 200_000, 10)).rejects.toThrow("answered 503");
  });

  test("not where nobody listens when it is opened", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await expect(disk.open({ url: `http://127.0.0.1:${port}/x` })).rejects.toThrow(
      `http://127.0.0.1:${port}/x: the server cannot be reached (ECONNREFUSED)`,
    );
  });
});

describe("wrong answers are errors, each in one line", () => {
  test.each<[Fault, string]>([
    [{ kind: "whole" }, "sends whole files only"],
    [{ kind: "range", shift: 1, extend: 0 }, "answered with bytes 98305-102400 where 98304-102399 were asked for"],
    [{ kind: "range", shift: -4096, extend: 0 }, "answered with bytes 94208-98303 where"],
    [{ kind: "range", shift: 0, extend: 1 }, "answered with bytes 98304-102400 where"],
    [{ kind: "headers", headers: { "content-range": undefined } }, "no valid Content-Range: 'undefined'"],
    [{ kind: "headers", headers: { "content-range": "bytes 98304-102399/*" } }, "does not tell the size"],
    [{ kind: "headers", headers: { "content-range": "bytes 98304-102399/99999999999999999999" } }, "no valid Content-Range"],
    [{ kind: "headers", headers: { "content-encoding": "gzip" } }, "content-encoding 'gzip'"],
    [{ kind: "headers", headers: { "content-length": 4000 } }, "4000 bytes for a range of 4096"],
    [{ kind: "headers", headers: { "x-large": "x".repeat(40_000) } }, "Header overflow"],
    [{ kind: "chunked", extra: 1 }, "sent more than the 4096 bytes of a range"],
    [{ kind: "raw", text: "SSH-2.0-OpenSSH_9.2\r\n" }, "Parse Error"],
    [{ kind: "status", status: 404 }, "no such file (404)"],
    [{ kind: "status", status: 403 }, "does not let us read the file (403)"],
    [{ kind: "status", status: 304 }, "answered 304 to a request for a range"],
    [{ kind: "status", status: 302 }, "redirects to no URL"],
    [{ kind: "status", status: 302, headers: { location: "ftp://127.0.0.1/x" } }, "redirects to 'ftp:'"],
    [{ kind: "status", status: 302, headers: { location: "http://a:b@127.0.0.1/x" } }, "a URL with credentials"],
    [{ kind: "status", status: 307, headers: { location: "/disk.raw" } }, "redirects more than 10 times"],
  ])("%j", async (fault, message) => {
    await using node = await disk.open();
    faulty(1000, fault);
    await expect(disk.matches(node, 98_304, 4096)).rejects.toThrow(message);
    expect(disk.server.asked.length).toBeLessThanOrEqual(12);
    disk.server.plan = () => undefined;
    expect(await disk.matches(node, 98_304, 4096)).toBe(true);
    await node[Symbol.asyncDispose]();
    await disk.server.idle();
  });

  test("a range that ends early is taken, and the rest asked for", async () => {
    await using node = await disk.open();
    faulty(1, { kind: "range", shift: 0, extend: -100_000 });
    expect(await disk.matches(node, 98_304, 200_000)).toBe(true);
    expect(disk.server.asked.slice(1)).toMatchObject([{ length: 200_000 }, { offset: 198_304, length: 100_000 }]);
  });

  test("a body without a length is as good as one with", async () => {
    await using node = await disk.open();
    faulty(1000, { kind: "chunked", extra: 0 });
    expect(await disk.matches(node, 98_304, 200_000)).toBe(true);
  });
});

describe("a file that changes is an error from then on", () => {
  const grow = (): Uint8Array => new Uint8Array(LENGTH + 4096);
  test.each<[string, () => void]>([
    ["another ETag", () => (disk.server.file.etag = '"second"')],
    ["no ETag any more", () => (disk.server.file.etag = undefined)],
    ["a larger file", () => (disk.server.file.bytes = grow())],
    ["a smaller file", () => (disk.server.file.bytes = disk.server.file.bytes.subarray(0, 4096))],
  ])("%s", async (_, change) => {
    await using node = await disk.open();
    expect(await disk.matches(node, 0, 10)).toBe(true);
    change();
    await expect(disk.matches(node, 1_000_000, 300_000)).rejects.toThrow("the file changed on the server while it was open");
    await expect(node.read(0, new Uint8Array(10))).rejects.toThrow("the file changed on the server while it was open");
  });

  test.each<string | undefined>([undefined, 'W/"weak"'])("another date, where the ETag is %s", async (etag) => {
    disk.server.file.etag = etag;
    await using node = await disk.open();
    expect(await disk.matches(node, 100_000, 10)).toBe(true);
    expect(disk.server.asked[1]?.headers["if-unmodified-since"]).toBe(disk.server.file.lastModified);
    disk.server.file.lastModified = "Mon, 02 Nov 2026 10:00:01 GMT";
    await expect(disk.matches(node, 200_000, 10)).rejects.toThrow("the file changed");
  });

  test("a server that ignores conditions is found out by its answers", async () => {
    await using node = await disk.open();
    faulty(1, { kind: "headers", headers: { etag: '"second"' } });
    await expect(disk.matches(node, 200_000, 10)).rejects.toThrow(`its ETag was "first" and is "second"`);
  });

  test("in the middle of a read: between what had arrived and the rest", async () => {
    await using node = await disk.open();
    disk.server.plan = () => {
      disk.server.file.etag = '"second"';
      disk.server.plan = () => undefined;
      return { kind: "cut", after: 100_000 };
    };
    disk.server.file.etag = '"first"';
    await expect(disk.matches(node, 0, 1_000_000)).rejects.toThrow("the file changed");
  });
});

describe("redirects", () => {
  test("are followed, and remembered", async () => {
    const away = { kind: "status", status: 302, headers: { location: "/other/disk.raw?key=1" } } as const;
    disk.server.plan = ({ path }) => (path === "/disk.raw" ? away : undefined);
    await using node = await disk.open();
    expect(await disk.matches(node, 100_000, 10)).toBe(true);
    expect(disk.server.asked.map(({ path }) => path)).toEqual(["/disk.raw", "/other/disk.raw?key=1", "/other/disk.raw?key=1"]);
  });

  test("a place that is gone is looked for anew", async () => {
    let place = 1;
    disk.server.plan = ({ path }) => {
      if (path === "/disk.raw") return { kind: "status", status: 307, headers: { location: `/place/${place}` } };
      return path === `/place/${place}` ? undefined : { kind: "status", status: 403 };
    };
    await using node = await disk.open();
    place = 2;
    expect(await disk.matches(node, 100_000, 10)).toBe(true);
    expect(disk.server.asked.map(({ path }) => path)).toEqual(["/disk.raw", "/place/1", "/place/1", "/disk.raw", "/place/2"]);
  });
});
