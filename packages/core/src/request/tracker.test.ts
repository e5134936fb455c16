import { expect, test } from "vitest";
import { deferred, settled } from "../fixture/lab.ts";
import { RequestTracker, type TrackedRequest } from "./tracker.ts";

function request(offset: number, length: number, serialising: boolean): TrackedRequest {
  return { kind: "write", offset, length, serialising, startedMs: 0 };
}

/** Starts requests in order; answers which have begun, and how to end them. */
function start(requests: readonly TrackedRequest[]): {
  readonly begun: number[];
  readonly tracker: RequestTracker;
  readonly end: (index: number) => Promise<void>;
} {
  const tracker = new RequestTracker();
  const begun: number[] = [];
  const works = requests.map(() => deferred());
  const runs = requests.map((entry, index) =>
    tracker.run(entry, () => {
      begun.push(index);
      return works[index]?.promise;
    }),
  );
  return {
    begun,
    tracker,
    end: async (index) => {
      works[index]?.resolve();
      await runs[index];
      await settled();
    },
  };
}

test("requests that are not serialising overlap as they like", () => {
  const { begun } = start([request(0, 100, false), request(50, 100, false)]);
  expect(begun).toEqual([0, 1]);
});

test("a serialising request waits for those before it that it meets, and those after it wait for it", async () => {
  const { begun, tracker, end } = start([
    request(0, 10, false),
    request(100, 10, false),
    request(5, 10, true),
    request(8, 10, false),
    request(30, 10, false),
    request(15, 10, true),
  ]);
  expect(begun).toEqual([0, 1, 4]);
  expect(tracker.serialising).toBe(true);
  await end(0);
  expect(begun).toEqual([0, 1, 4, 2]);
  await end(2);
  expect(begun).toEqual([0, 1, 4, 2, 3]);
  await end(3);
  expect(begun).toEqual([0, 1, 4, 2, 3, 5]);
  for (const index of [1, 4, 5]) await end(index);
  expect([tracker.serialising, tracker.list()]).toEqual([false, []]);
});

test("a request that fails lets those that waited for it go on", async () => {
  const tracker = new RequestTracker();
  const failure = new Error("no");
  const first = tracker.run(request(0, 10, true), () => Promise.reject(failure));
  let ran = false;
  const second = tracker.run(request(0, 10, true), () => void (ran = true));
  await expect(first).rejects.toBe(failure);
  await second;
  expect([ran, tracker.serialising, tracker.list()]).toEqual([true, false, []]);
});
