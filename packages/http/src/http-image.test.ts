import { BlockGraph, SystemClock, type BlockError } from "@coblock/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { httpDriver, httpsDriver } from "./entry.ts";
import { ServedDisk } from "./test/served-disk.ts";

const KIB = 1024;
const LENGTH = 9 * 1024 * KIB + 123;
let disk: ServedDisk;

beforeEach(async () => {
  disk = await ServedDisk.start(LENGTH);
});
afterEach(() => disk[Symbol.asyncDispose]());

const ranges = (): string[] => disk.server.asked.map(({ offset, length }) => `${offset}+${length}`);

describe("reads", () => {
  test("any range, with no more requests than it takes", async () => {
    await using node = await disk.open();
    expect(node.size).toBe(LENGTH);
    expect(await disk.matches(node, 100, 1)).toBe(true);
    expect(ranges()).toEqual(["0+4096"]);
    expect(await disk.matches(node, 1_000_001, 5000)).toBe(true);
    expect(await disk.matches(node, 1_000_001, 5000)).toBe(true);
    expect(ranges()).toEqual(["0+4096", "999424+8192"]);
    expect(await disk.matches(node, LENGTH - 7, 7)).toBe(true);
    expect(await disk.matches(node, 0, LENGTH)).toBe(true);
  });

  test("long ones in pieces, at most so many at a time", async () => {
    await using node = await disk.open({ connections: 2 });
    let open = (): void => {};
    disk.server.gate = new Promise<void>((resolve) => (open = resolve));
    const reading = disk.matches(node, 5, LENGTH - 5);
    await until(() => disk.server.inFlight === 2);
    open();
    expect(await reading).toBe(true);
    expect(ranges().slice(1)).toEqual(["5+2097152", "2097157+2097152", "4194309+2097152", "6291461+2097152", "8388613+1048694"]);
    expect(disk.server.mostInFlight).toBe(2);
    expect(disk.server.accepted).toBeLessThanOrEqual(2);
  });

  test("what many want once", async () => {
    await using node = await disk.open();
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => disk.matches(node, 500_000 + index * 8, 64)));
    expect(all).toEqual(all.map(() => true));
    expect(ranges()).toEqual(["0+4096", "499712+4096"]);
  });

  test("at many places at one time, without a warning", async () => {
    const warnings: string[] = [];
    const hear = (warning: Error): void => void warnings.push(warning.name);
    process.on("warning", hear);
    await using node = await disk.open();
    const all = await Promise.all(Array.from({ length: 40 }, (_, index) => disk.matches(node, index * 70_000, 64)));
    await new SystemClock().yield();
    process.off("warning", hear);
    expect(all).toEqual(all.map(() => true));
    expect(warnings).toEqual([]);
  });

  test("ahead of those who go in order", async () => {
    await using node = await disk.open({ readahead: 64 * KIB });
    for (let offset = 1024 * KIB; offset < 2048 * KIB; offset += 4096) expect(await disk.matches(node, offset, 4096)).toBe(true);
    // 4 KiB, 12 more, then as much again as was read, up to the limit.
    expect(disk.server.asked.length).toBeLessThan(25);
    expect(disk.server.sent).toBeLessThanOrEqual((1024 + 64 + 8) * KIB);
    const before = disk.server.asked.length;
    for (let offset = 0; offset < 1024 * KIB; offset += 50 * KIB) expect(await disk.matches(node, offset + 8192, 4096)).toBe(true);
    expect(disk.server.asked.slice(before).every(({ length }) => length <= 8192)).toBe(true);
  });

  test("an empty file", async () => {
    disk.server.file.bytes = new Uint8Array();
    await using node = await disk.open();
    expect(node.size).toBe(0);
  });
});

describe("memory", () => {
  test("stays below the size of the cache", async () => {
    await using node = await disk.open({ cacheSize: 64 * KIB, readahead: 0 });
    for (let offset = 0; offset + 20_000 <= LENGTH; offset += 20_011) expect(await disk.matches(node, offset, 20_000)).toBe(true);
    expect(cachedBytes(disk)).toBeLessThanOrEqual(64 * KIB);
    expect(cachedBytes(disk)).toBeGreaterThan(32 * KIB);
  });

  test("is none where the cache has no room", async () => {
    await using node = await disk.open({ cacheSize: 0 });
    expect(await disk.matches(node, 1, 4096)).toBe(true);
    expect(cachedBytes(disk)).toBe(0);
  });
});

describe("an abort", () => {
  test("ends a long read, whose buffer is then left alone", async () => {
    await using node = await disk.open();
    const abort = new AbortController();
    disk.server.plan = () => ({ kind: "stall", after: 1000 });
    const into = new Uint8Array(1024 * KIB);
    const reading = node.read(0, into, { signal: abort.signal });
    await until(() => into[999] !== 0 || into[998] !== 0);
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    into.fill(0);
    await disk.server.idle();
    expect(into.every((byte) => byte === 0)).toBe(true);
    disk.server.plan = () => undefined;
    expect(await disk.matches(node, 0, 1024 * KIB)).toBe(true);
  });

  test("of one reader leaves the others waiting for the same page", async () => {
    await using node = await disk.open();
    const abort = new AbortController();
    disk.server.plan = () => ({ kind: "cut", after: -1 });
    const first = disk.matches(node, 100_000, 10, abort.signal);
    const second = disk.matches(node, 100_000, 10);
    abort.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    disk.server.plan = () => undefined;
    expect(await second).toBe(true);
  });

  test("ends opening", async () => {
    disk.server.plan = () => ({ kind: "stall", after: -1 });
    const abort = new AbortController();
    const opening = disk.open({}, { signal: abort.signal });
    await until(() => disk.server.asked.length === 1);
    abort.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
    await disk.server.idle();
  });
});

describe("closing", () => {
  test("leaves no connection", async () => {
    const node = await disk.open();
    await Promise.all([1, 2, 3].map((index) => disk.matches(node, index * 100_000, 10)));
    expect(disk.server.sockets.size).toBeGreaterThan(0);
    await node[Symbol.asyncDispose]();
    await disk.server.idle();
    expect(disk.server.sockets.size).toBe(0);
  });

  test("cuts what nobody waits for any more", async () => {
    const node = await disk.open();
    const abort = new AbortController();
    disk.server.plan = () => ({ kind: "stall", after: 10 });
    const reading = disk.matches(node, 200_000, 10, abort.signal);
    await until(() => disk.server.asked.length === 2);
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    await node[Symbol.asyncDispose]();
    await disk.server.idle();
  });

  test("a failed open leaves no connection", async () => {
    disk.server.plan = () => ({ kind: "whole" });
    await expect(disk.open()).rejects.toThrow("whole files only");
    await disk.server.idle();
  });
});

describe("credentials", () => {
  test("go to the server as options say, and nowhere else", async () => {
    const options = { username: "ali", passwordSecret: "password", cookieSecret: "jar", headers: ["X-Token: 1: 2"] };
    await using other = await ServedDisk.start(LENGTH);
    disk.server.plan = ({ number }) =>
      number === 0 ? undefined : { kind: "status", status: 302, headers: { location: other.server.url() } };
    await using node = await disk.open(options);
    expect(disk.server.asked[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from("ali:open sesame").toString("base64")}`,
      cookie: "a=b",
      "x-token": "1: 2",
    });
    expect(await disk.matches(node, 100_000, 100)).toBe(true);
    const { authorization, cookie, "x-token": token } = other.server.asked[0]?.headers ?? {};
    expect([authorization, cookie, token]).toEqual([undefined, undefined, undefined]);
  });

  test.each([
    [{ url: "http://ali:secret@127.0.0.1/x" }, "holds a name or a password"],
    [{ url: "https://127.0.0.1/x" }, "begin with 'http://'"],
    [{ url: "http:" }, "cannot be parsed"],
    [{ filename: "http://127.0.0.1/x" }, "exclude each other"],
    [{ readahead: -1 }, "'readahead' is -1"],
    [{ connections: 0 }, "'connections' is 0"],
    [{ timeout: 0 }, "'timeout' is 0"],
    [{ headers: ["Range: bytes=0-1"] }, "cannot set Range"],
    [{ headers: ["nothing"] }, "not of the form"],
    [{ headers: ["A: b\r\nc: d"] }, "characters that no request can hold"],
    [{ headers: ["Cookie: a"], cookie: "b" }, "cookie is given twice"],
    [{ passwordSecret: "password" }, "needs 'username'"],
    [{ username: "a", passwordSecret: "none" }, "No secret with id 'none'"],
  ])("options that fit nothing are refused: %j", async (options, message) => {
    await expect(disk.open(options)).rejects.toThrow(message);
    expect(disk.server.asked).toEqual([]);
  });
});

test("a file on a web server is not opened for writing", async () => {
  await expect(disk.open({}, { readOnly: false })).rejects.toMatchObject({ code: "READ_ONLY" } satisfies Partial<BlockError>);
});

test("each driver opens its own scheme", async () => {
  await using graph = new BlockGraph({ drivers: [httpDriver, httpsDriver], clock: new SystemClock() });
  await expect(graph.open({ driver: "https", url: disk.server.url() }, { readOnly: true })).rejects.toThrow("begin with 'https://'");
});

function cachedBytes({ graph }: ServedDisk): number {
  const text = JSON.stringify(graph.inspect());
  return Number(/"cached":(\d+)/.exec(text)?.[1]);
}

async function until(condition: () => boolean): Promise<void> {
  const clock = new SystemClock();
  while (!condition()) await clock.yield();
}
