import { describe, expect, test } from "vitest";
import { SystemClock } from "../coroutine/system-clock.ts";
import { Crew, type CrewThread } from "./crew.ts";
import { type Job, JobRing } from "./crew-ring.ts";

/** A thread of which the test says what it does when. */
class TestThread implements CrewThread {
  readonly ring: JobRing;
  readonly log: string[] = [];
  readonly #listeners = new Map<string, () => void>();

  constructor(memory: SharedArrayBuffer) {
    this.ring = new JobRing(memory);
  }

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, listener);
  }

  ref(): void {
    this.log.push("ref");
  }

  unref(): void {
    this.log.push("unref");
  }

  emit(event: "message" | "error" | "exit"): void {
    this.#listeners.get(event)?.();
  }

  take(): number {
    const taken = this.ring.take();
    if (taken === undefined) throw new Error("there is no job");
    return taken.slot;
  }

  /** Tells of it, if it was asked to. */
  finish(slot: number, result: number): void {
    if (this.ring.finish(slot, result)) this.emit("message");
  }
}

function jobOf(number: number): Job {
  return { task: 0, places: { from: BigInt(number), fromLength: 1, into: 0n, intoLength: 1 } };
}

interface CrewUnderTest {
  readonly crew: Crew;
  readonly threads: readonly TestThread[];
  /** Jobs that this thread did, by number. */
  readonly here: number[];
}

function testCrew({ threads: count = 1, helps = false } = {}): CrewUnderTest {
  const threads: TestThread[] = [];
  const here: number[] = [];
  const crew = new Crew({
    threads: count,
    start: (memory) => {
      const thread = new TestThread(memory);
      threads.push(thread);
      return thread;
    },
    perform: ({ places }) => {
      const number = Number(places.from);
      here.push(number);
      if (number === 13) throw new Error("job 13 fails");
      return number * 2;
    },
    helps,
    clock: new SystemClock(),
  });
  threads[0]?.emit("message");
  return { crew, threads, here };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new SystemClock().yield();
};

test("threads do the jobs, in any order, and tell of several at once", async () => {
  const { crew, threads, here } = testCrew();
  const [thread] = threads;
  let messages = 0;
  const answers = Promise.all(numbers(8).map((number) => crew.run(jobOf(number), [])));
  await turns(2);
  const slots = numbers(8).map(() => thread?.take() ?? 0);
  for (const slot of slots.reverse()) {
    if (thread?.ring.finish(slot, slot + 100) !== true) continue;
    messages++;
    thread.emit("message");
    await turns(2);
  }
  expect(await answers).toEqual([...slots.reverse()].map((slot) => slot + 100));
  expect(messages).toBeGreaterThan(1);
  expect(messages).toBeLessThan(8);
  expect(here).toEqual([]);
});

test("this thread helps with what nobody has taken, and leaves what was taken alone", async () => {
  const { crew, threads, here } = testCrew({ helps: true });
  const answers = numbers(5).map((number) => crew.run(jobOf(number), []));
  const slot = threads[0]?.take() ?? 0;
  expect(await Promise.all(answers.slice(1))).toEqual([2, 4, 6, 8]);
  expect(here).toEqual([1, 2, 3, 4]);
  threads[0]?.finish(slot, 77);
  expect(await answers[0]).toBe(77);
});

test("more jobs than the ring has room for wait, while one is not done", async () => {
  const { crew, threads, here } = testCrew({ helps: true });
  const first = crew.run(jobOf(1000), []);
  const slot = threads[0]?.take() ?? 0;
  const others = numbers(700).map((number) => crew.run(jobOf(number + 14), []));
  expect(await others[100]).toBe(228);
  await turns(20);
  expect(here.length).toBeLessThan(256);
  threads[0]?.finish(slot, 5);
  expect(await first).toBe(5);
  expect(await Promise.all(others)).toEqual(numbers(700).map((number) => (number + 14) * 2));
  expect(here).toEqual(numbers(700).map((number) => number + 14));
});

test("a job that fails here fails alone", async () => {
  const { crew } = testCrew({ helps: true });
  const answers = await Promise.allSettled([12, 13, 14].map((number) => crew.run(jobOf(number), [])));
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("the process stays alive for jobs, and not for threads", async () => {
  const { crew, threads } = testCrew();
  const thread = threads[0];
  expect(thread?.log).toEqual(["unref"]);
  const answer = crew.run(jobOf(1), []);
  await turns(3);
  expect(thread?.log).toEqual(["unref", "ref"]);
  thread?.finish(thread.take(), 3);
  expect(await answer).toBe(3);
  expect(thread?.log).toEqual(["unref", "ref", "unref"]);
});

describe("when a thread ends", () => {
  test("this one does what it left, but no job before every thread has ended", async () => {
    const { crew, threads, here } = testCrew({ threads: 2 });
    const [dying, working] = threads;
    const answers = Promise.all(numbers(4).map((number) => crew.run(jobOf(number), [])));
    await turns(2);
    dying?.take();
    const slot = working?.take() ?? 0;
    dying?.emit("error");
    dying?.emit("exit");
    await turns(5);
    expect([crew.isReady, working?.ring.isStopping]).toEqual([false, true]);
    working?.ring.finish(slot, 55);
    working?.ring.hasStopped();
    await turns(5);
    expect(here).toEqual([]);
    working?.emit("exit");
    expect(await answers).toEqual([0, 55, 4, 6]);
    expect(here).toEqual([0, 2, 3]);
  });

  test("what fails here, too, says why", async () => {
    const { crew, threads } = testCrew();
    const answer = crew.run(jobOf(13), []);
    threads[0]?.take();
    threads[0]?.emit("exit");
    await expect(answer).rejects.toThrow("job 13 fails");
  });
});

test("a crew whose threads cannot be started is never ready", async () => {
  const crew = new Crew({
    threads: 1,
    start: () => {
      throw new Error("no threads here");
    },
    perform: () => 0,
    helps: true,
    clock: new SystemClock(),
  });
  await turns(2);
  expect(crew.isReady).toBe(false);
});
