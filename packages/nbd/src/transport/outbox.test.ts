import { SystemClock } from "@coblock/core";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { Outbox } from "./outbox.ts";

/** Takes what is handed over, a list of pieces a time, when it is told to. */
class SlowStream extends Duplex {
  readonly batches: string[][] = [];
  #done: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this._writev([{ chunk }], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: () => void): void {
    this.batches.push(chunks.map(({ chunk }) => chunk.toString()));
    this.#done = done;
  }

  /** As sockets do: whoever waits hears that it was in vain. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.accept();
    done(error);
  }

  accept(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}

const clock = new SystemClock();
const text = (words: string): Buffer => Buffer.from(words);

test("what is pushed in one turn goes out together, and its owners hear when the system has it", async () => {
  const stream = new SlowStream();
  const outbox = new Outbox(stream, clock);
  const free: string[] = [];
  outbox.push(text("head"), () => free.push("head"));
  outbox.flushSoon(() => false);
  outbox.push(text("data"), () => free.push("data"));
  outbox.flushSoon(() => false);
  expect(stream.batches).toEqual([]);
  await clock.yield();
  expect(stream.batches).toEqual([["head", "data"]]);
  expect([free.length, outbox.waiting, outbox.sentBatches]).toEqual([0, true, 0]);
  stream.accept();
  await clock.yield();
  expect([free, outbox.waiting, outbox.sentBatches]).toEqual([["head", "data"], false, 1]);
});

test("where more is expected a turn is waited for it", async () => {
  const stream = new SlowStream();
  const outbox = new Outbox(stream, clock);
  outbox.push(text("one"));
  outbox.flushSoon(() => true);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  outbox.push(text("two"));
  await clock.yield();
  await clock.yield();
  expect(stream.batches).toEqual([["one", "two"]]);
});

test("nothing is sent where nothing was pushed; a stream that is gone frees what it was given", async () => {
  const stream = new SlowStream();
  const outbox = new Outbox(stream, clock);
  outbox.flush();
  await clock.yield();
  expect(stream.batches).toEqual([]);
  const free: string[] = [];
  stream.on("error", () => {});
  outbox.push(text("taken late"), () => free.push("first"));
  outbox.flush();
  stream.destroy();
  outbox.push(text("too late"), () => free.push("second"));
  outbox.flush();
  await clock.yield();
  expect(free.sort()).toEqual(["first", "second"]);
});
