import { expect, it } from "vitest";
import { SuspendedRequests } from "./suspended-requests.ts";

function listening(): { readonly requests: SuspendedRequests; readonly lines: string[] } {
  const requests = new SuspendedRequests();
  const lines: string[] = [];
  requests.listen((line) => lines.push(line));
  return { requests, lines };
}

it("holds one request back at each point, until it is let go", async () => {
  const { requests, lines } = listening();
  expect(requests.set("read_aio", "A")).toBe(true);
  expect(requests.pass("write_aio")).toBe(undefined);
  const held = requests.pass("read_aio");
  expect(requests.pass("read_aio")).toBe(undefined);
  await requests.suspended("A");
  expect(requests.resume("A")).toBe(true);
  await held;
  expect(requests.resume("A")).toBe(false);
  expect(lines).toEqual(["blkdebug: Suspended request 'A'", "blkdebug: Resuming request 'A'"]);
});

it("waits for a request that is still to come, and no longer than it is asked to", async () => {
  const { requests } = listening();
  requests.set("read_aio", "A");
  const waiting = requests.suspended("A");
  const held = requests.pass("read_aio");
  await waiting;
  requests.resume("A");
  await held;
  const abort = new AbortController();
  const aborted = requests.suspended("B", { signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
});

it("a request at two points goes on when both have let it go", async () => {
  const { requests, lines } = listening();
  requests.set("read_aio", "A");
  requests.set("read_aio", "B");
  let went = false;
  const held = Promise.resolve(requests.pass("read_aio")).then(() => (went = true));
  requests.resume("B");
  await Promise.resolve();
  expect(went).toBe(false);
  requests.resume("A");
  await held;
  expect(lines.map((line) => line.slice(-3))).toEqual(["'B'", "'A'", "'B'", "'A'"]);
});

it("a point that is removed holds nothing back, and lets go what it held", async () => {
  const { requests } = listening();
  requests.set("read_aio", "A");
  expect([requests.remove("A"), requests.remove("A")]).toEqual([true, false]);
  expect(requests.pass("read_aio")).toBe(undefined);
  requests.set("read_aio", "A");
  const held = requests.pass("read_aio");
  expect(requests.remove("A")).toBe(false);
  await held;
});

it("refuses events that do not exist", () => expect(listening().requests.set("nonsense", "A")).toBe(false));
