import { SystemClock } from "@coblock/core";
import { Duplex, PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { Channel } from "./channel.ts";

const clock = new SystemClock();

test("a stream that was closed before is at its end, and closed", async () => {
  const stream = new PassThrough();
  stream.destroy();
  await clock.yield();
  const channel = new Channel(stream, clock);
  await channel.closed;
  await expect(channel.stream.read(1)).rejects.toThrow("the connection was closed");
});

test("a stream that fails ends with its reason, one that is cut with ours", async () => {
  const failing = new PassThrough();
  const channel = new Channel(failing, clock);
  const read = channel.stream.read(1);
  failing.destroy(new Error("no carrier"));
  await expect(read).rejects.toThrow("the connection failed: no carrier");
  const cut = new Channel(new PassThrough(), clock);
  const waiting = cut.stream.read(1);
  cut.destroy(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await cut.closed;
});

test("a consumer's objection cuts the connection", async () => {
  const stream = new PassThrough();
  const channel = new Channel(stream, clock);
  channel.stream.consume({
    target: new Uint8Array(1),
    filled: () => {
      throw new Error("not this");
    },
  });
  stream.write("x");
  await channel.closed;
  await expect(channel.stream.read(1)).rejects.toThrow("not this");
});

test("a stream that is released is read by somebody else", async () => {
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  const channel = new Channel(stream, clock);
  stream.push("first");
  expect((await channel.stream.read(5))?.toString()).toBe("first");
  const released = channel.release();
  stream.push("second");
  await clock.yield();
  expect(channel.stream.buffered).toBe(0);
  expect(String(released.read())).toBe("second");
});
