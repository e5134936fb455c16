import { expect, test } from "vitest";
import { deferred, settled, watch } from "../fixture/lab.ts";
import { FlushShare } from "./flush-share.ts";

/** Flushes that the test ends. */
function controlled(): { readonly share: FlushShare; readonly runs: ReturnType<typeof deferred>[] } {
  const runs: ReturnType<typeof deferred>[] = [];
  const share = new FlushShare(() => {
    const run = deferred();
    runs.push(run);
    return run.promise;
  });
  return { share, runs };
}

test("the first flush covers what others wrote before; afterwards nothing is flushed where nothing has changed", async () => {
  const { share, runs } = controlled();
  const first = share.flush();
  runs[0]?.resolve();
  await first;
  await share.flush();
  expect(runs).toHaveLength(1);
  share.changed();
  const second = share.flush();
  runs[1]?.resolve();
  await second;
  await share.flush();
  expect(runs).toHaveLength(2);
});

test("flushes that ask at the same time share one", async () => {
  const { share, runs } = controlled();
  share.changed();
  const flushes = [share.flush(), share.flush(), share.flush()];
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await Promise.all(flushes);
});

test("what changed after a flush began is covered by the next one, which starts when the first has ended", async () => {
  const { share, runs } = controlled();
  share.changed();
  const first = watch(share.flush());
  share.changed();
  const late = [watch(share.flush()), watch(share.flush())];
  await settled();
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await settled();
  expect([first, ...late].map(({ state }) => state)).toEqual(["fulfilled", "pending", "pending"]);
  expect(runs).toHaveLength(2);
  runs[1]?.resolve();
  await settled();
  expect(late.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled"]);
  await share.flush();
  expect(runs).toHaveLength(2);
});

test("a change while a flush runs leaves something to flush", async () => {
  const { share, runs } = controlled();
  share.changed();
  const first = share.flush();
  share.changed();
  runs[0]?.resolve();
  await first;
  const second = share.flush();
  expect(runs).toHaveLength(2);
  runs[1]?.resolve();
  await second;
});

test.each(["rejects", "throws"])("a flush that %s is never forgotten", async (how) => {
  const failure = new Error("the host lost it");
  let runs = 0;
  const share = new FlushShare(() => {
    runs++;
    if (how === "throws") throw failure;
    return Promise.reject(failure);
  });
  share.changed();
  const first = share.flush();
  share.changed();
  const waiting = share.flush();
  await expect(first).rejects.toBe(failure);
  await expect(waiting).rejects.toBe(failure);
  await expect(share.flush()).rejects.toBe(failure);
  expect([runs, share.failure]).toEqual([1, { error: failure }]);
});
