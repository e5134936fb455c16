import { describe, expect, test } from "vitest";
import { type ByteConsumer, ByteStream, type Flow } from "./byte-stream.ts";

class CountedFlow implements Flow {
  paused = false;
  pauses = 0;

  pause(): void {
    this.paused = true;
    this.pauses++;
  }

  resume(): void {
    this.paused = false;
  }
}

const counting = (length: number, first = 0): Buffer => Buffer.from(Array.from({ length }, (_, index) => first + index));

describe("whoever pulls", () => {
  test("gets what it asks for, however it came", async () => {
    for (let cut = 0; cut <= 10; cut++) {
      const stream = new ByteStream(new CountedFlow());
      const read = stream.read(4);
      stream.receive(counting(cut));
      stream.receive(counting(10 - cut, cut));
      expect([...((await read) ?? [])]).toEqual([0, 1, 2, 3]);
      expect([...(stream.take(3) ?? [])]).toEqual([4, 5, 6]);
      const rest = new Uint8Array(3);
      await stream.readInto(rest);
      expect([...rest]).toEqual([7, 8, 9]);
      expect([stream.buffered, stream.received]).toEqual([0, 10]);
      expect(stream.take(1)).toBeUndefined();
    }
  });

  test("has its buffer filled from what is there and what comes, and no more is taken", async () => {
    const stream = new ByteStream(new CountedFlow());
    stream.receive(counting(2));
    const into = new Uint8Array(5);
    const filled = stream.readInto(into);
    stream.receive(counting(2, 2));
    stream.receive(counting(4, 4));
    await filled;
    expect([...into]).toEqual([0, 1, 2, 3, 4]);
    expect([...(stream.take(3) ?? [])]).toEqual([5, 6, 7]);
  });

  test("makes the peer wait while nobody reads, and not while somebody does", async () => {
    const flow = new CountedFlow();
    const stream = new ByteStream(flow);
    stream.receive(Buffer.alloc(256 * 1024));
    expect(flow.paused).toBe(false);
    stream.receive(Buffer.alloc(1));
    expect(flow.paused).toBe(true);
    stream.take(128 * 1024);
    expect(flow.paused).toBe(true);
    stream.take(2);
    expect(flow.paused).toBe(false);
    const read = stream.read(1024 * 1024);
    for (let piece = 0; piece < 15; piece++) {
      expect(flow.pauses).toBe(1);
      stream.receive(Buffer.alloc(64 * 1024));
    }
    // Once nothing is wanted any more.
    expect(flow.pauses).toBe(2);
    expect((await read)?.length).toBe(1024 * 1024);
  });
});

test("a long message goes right into the buffer of who waits for it, and what follows does not", async () => {
  const stream = new ByteStream(new CountedFlow());
  const into = new Uint8Array(20_000);
  const filled = stream.readInto(into);
  const first = stream.nextBuffer();
  expect([first.buffer === into.buffer, first.length]).toEqual([true, 20_000]);
  first.fill(1, 0, 13_000);
  stream.receiveInto(13_000, first);
  const second = stream.nextBuffer();
  expect(second.buffer === into.buffer).toBe(false);
  second.fill(2, 0, 8000);
  stream.receiveInto(8000, second);
  await filled;
  expect([into[12_999], into[13_000], into.at(-1)]).toEqual([1, 2, 2]);
  expect([stream.received, stream.take(1000)?.[0], stream.buffered]).toEqual([21_000, 2, 0]);
});

test("bytes that come into a buffer after its reader has gone are nobody's", async () => {
  const stream = new ByteStream(new CountedFlow());
  const filled = stream.readInto(new Uint8Array(20_000));
  const late = stream.nextBuffer();
  stream.end(new Error("stopped"));
  await expect(filled).rejects.toThrow("stopped");
  stream.receiveInto(20_000, late);
  expect(stream.buffered).toBe(0);
});

describe("the end", () => {
  test("between two messages is no error, in the middle of one it is", async () => {
    const between = new ByteStream(new CountedFlow());
    between.receive(counting(4));
    between.end();
    expect([...((await between.read(4)) ?? [])]).toEqual([0, 1, 2, 3]);
    expect(await between.read(4)).toBeUndefined();
    await expect(between.readRest(1)).rejects.toThrow("in the middle of a message");
    const within = new ByteStream(new CountedFlow());
    const waiting = within.read(4);
    within.receive(counting(3));
    within.end();
    await expect(waiting).rejects.toThrow("in the middle of a message");
    const filling = new ByteStream(new CountedFlow());
    const filled = filling.readInto(new Uint8Array(4));
    filling.receive(counting(3));
    filling.end();
    await expect(filled).rejects.toThrow("in the middle of a message");
  });

  test("is told once, with its reason, behind all that came", async () => {
    const told: (Error | undefined)[] = [];
    const stream = new ByteStream(new CountedFlow());
    stream.onEnd((error) => told.push(error));
    stream.receive(counting(1));
    stream.end(new Error("first"));
    stream.end(new Error("second"));
    expect(told.map((error) => error?.message)).toEqual(["first"]);
    expect((await stream.read(1))?.length).toBe(1);
    await expect(stream.read(1)).rejects.toThrow("first");
    const late: (Error | undefined)[] = [];
    stream.onEnd((error) => late.push(error));
    expect(late).toHaveLength(1);
  });
});

/** Takes messages of a length byte and as many bytes. */
class Messages implements ByteConsumer {
  readonly taken: number[][] = [];
  target: Uint8Array = new Uint8Array(1);
  #isLength = true;

  filled(): void {
    if (!this.#isLength) this.taken.push([...this.target]);
    this.#isLength = !this.#isLength;
    this.target = new Uint8Array(this.#isLength ? 1 : (this.target[0] ?? 1));
  }
}

describe("a consumer", () => {
  const bytes = Buffer.from([2, 20, 21, 1, 10, 3, 30, 31, 32]);
  const expected = [[20, 21], [10], [30, 31, 32]];

  test("gets what came before it and what comes after, parted anywhere", () => {
    for (let taken = 0; taken <= bytes.length; taken++) {
      for (let cut = taken; cut <= bytes.length; cut++) {
        const stream = new ByteStream(new CountedFlow());
        const messages = new Messages();
        if (taken > 0) stream.receive(bytes.subarray(0, taken));
        stream.consume(messages);
        stream.receive(bytes.subarray(taken, cut));
        stream.receive(bytes.subarray(cut));
        expect(messages.taken).toEqual(expected);
      }
    }
  });

  test("is read into directly where much is wanted, and through a buffer of the stream's own else", () => {
    const stream = new ByteStream(new CountedFlow());
    const large = new Uint8Array(100_000);
    const taken: number[] = [];
    stream.consume({ target: large, filled: () => taken.push(large[0] ?? -1, large.at(-1) ?? -1) });
    const first = stream.nextBuffer();
    expect([first.buffer === large.buffer, first.length]).toEqual([true, 100_000]);
    first.fill(1, 0, 95_000);
    stream.receiveInto(95_000, first);
    const staged = stream.nextBuffer();
    expect(staged.buffer === large.buffer).toBe(false);
    staged.fill(2, 0, 5000);
    stream.receiveInto(5000, staged);
    expect(taken).toEqual([1, 2]);
    expect(stream.received).toBe(100_000);
  });

  test("what it objects to is thrown to whoever brought the bytes", () => {
    const stream = new ByteStream(new CountedFlow());
    stream.consume({
      target: new Uint8Array(1),
      filled: () => {
        throw new Error("not this");
      },
    });
    expect(() => stream.receive(counting(1))).toThrow("not this");
  });
});

test("bytes that nobody has asked for yet are the stream's own, not the socket's buffer", () => {
  const stream = new ByteStream(new CountedFlow());
  const staged = stream.nextBuffer();
  staged.fill(7, 0, 4);
  stream.receiveInto(4, staged);
  staged.fill(8, 0, 4);
  expect([...(stream.take(4) ?? [])]).toEqual([7, 7, 7, 7]);
});
