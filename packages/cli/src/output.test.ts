import { expect, it } from "vitest";
import type { CommandFailure } from "./failure.ts";
import { Output } from "./output.ts";

it("writes pieces of 64 KiB at least, and the rest when it is flushed", () => {
  const pieces: number[] = [];
  const output = new Output({ write: (text) => pieces.push(text.length) }, () => {});
  for (let line = 0; line < 2000; line++) output.line("x".repeat(99));
  output.flush();
  output.flush();
  expect(pieces.slice(0, -1).every((length) => length >= 65_536 && length < 65_636)).toBe(true);
  expect(pieces.reduce((sum, length) => sum + length)).toBe(200_000);
});

it.each([
  ["ENOSPC", "Could not write the output: no", 1],
  ["EPIPE", "", 141],
])("tells of %s once, and writes no more", async (code, message, exitCode) => {
  const failures: CommandFailure[] = [];
  let writes = 0;
  const write = (): void => {
    writes++;
    throw Object.assign(new Error("no"), { code });
  };
  const output = new Output({ write }, (failure) => failures.push(failure));
  output.line("a");
  output.flush();
  output.line("b");
  output.flush();
  await expect(output.finish()).rejects.toBe(failures[0]);
  expect(writes).toBe(1);
  expect(failures.map((failure) => [failure.message, failure.exitCode])).toEqual([[message, exitCode]]);
});

it("waits for what a stream does later", async () => {
  let later: ((error?: Error | null) => void) | undefined;
  const write = (text: string, done?: (error?: Error | null) => void): void => {
    if (text === "") {
      later?.(new Error("disk full"));
      done?.();
    } else later = done;
  };
  const output = new Output({ write, on: () => {} }, () => {});
  output.line("a");
  await expect(output.finish()).rejects.toThrow("disk full");
});

it("goes on without a reader where nobody need read it, and not without space", async () => {
  let writes = 0;
  const failing = (code: string) => (): void => {
    writes++;
    throw Object.assign(new Error("no"), { code });
  };
  const unread = new Output({ write: failing("EPIPE") }, () => {}, { unread: true });
  for (const line of ["a", "b"]) {
    unread.line(line);
    unread.flush();
  }
  await unread.finish();
  expect(writes).toBe(1);
  const full = new Output({ write: failing("ENOSPC") }, () => {}, { unread: true });
  full.line("a");
  await expect(full.finish()).rejects.toThrow("Could not write the output: no");
});
