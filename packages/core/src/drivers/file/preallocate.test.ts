import * as fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import type { HostCalls } from "../../host/host-calls.ts";
import { HostFile } from "./host-file.ts";
import { growFile } from "./preallocate.ts";

const { ENOSPC, EOPNOTSUPP } = constants.errno;

let directory: string;
let filename: string;
let file: HostFile;

beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "preallocate-"));
  filename = join(directory, "file");
  fs.writeFileSync(filename, "abc");
  file = await HostFile.open({ filename, nodeName: "node", mode: "write" });
});

afterEach(async () => {
  await file.close();
  fs.rmSync(directory, { recursive: true });
});

test("a file system that is full leaves the file as long as it was", async () => {
  const calls: HostCalls = { allocateInPool: async () => -ENOSPC };
  await expect(growFile(calls, file, { from: 3, to: 1_000_000, preallocation: "falloc" })).rejects.toMatchObject({
    code: "NO_SPACE",
    message: `Could not preallocate 999997 bytes for '${filename}': No space left on device`,
  });
  expect(fs.readFileSync(filename, "latin1")).toBe("abc");
});

test("where space cannot be reserved, zeros are written", async () => {
  const calls: HostCalls = { allocateInPool: async () => -EOPNOTSUPP };
  await growFile(calls, file, { from: 3, to: 3_000_000, preallocation: "falloc" });
  expect(fs.statSync(filename).blocks * 512).toBeGreaterThanOrEqual(3_000_000);
  expect(fs.readFileSync(filename).equals(Buffer.concat([Buffer.from("abc"), Buffer.alloc(3_000_000 - 3)]))).toBe(true);
});

test("a signal stops it, and the file is as long as it was", async () => {
  const abort = new AbortController();
  const calls: HostCalls = {
    allocateInPool: async () => {
      abort.abort(new Error("enough"));
      return -EOPNOTSUPP;
    },
  };
  const growth = { from: 3, to: 3_000_000, preallocation: "falloc", signal: abort.signal } as const;
  await expect(growFile(calls, file, growth)).rejects.toThrow("enough");
  expect(fs.readFileSync(filename, "latin1")).toBe("abc");
});
