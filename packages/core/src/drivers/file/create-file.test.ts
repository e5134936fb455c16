import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { bareContext } from "../bare-context.ts";
import { createFile } from "./create-file.ts";
import type { FileHints } from "./file-hints.ts";
import { driver } from "./file-driver.ts";

let directory: string;
let filename: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "create-file-"));
  filename = join(directory, "file");
});

afterEach(() => fs.rmSync(directory, { recursive: true }));

test("makes a file of zeros", async () => {
  await createFile(filename, 100_000);
  expect(fs.readFileSync(filename).equals(Buffer.alloc(100_000))).toBe(true);
  expect(fs.statSync(filename).blocks).toBe(0);
  expect(fs.statSync(filename).mode & 0o133).toBe(0);
});

test("nothing of what was there shows through", async () => {
  fs.writeFileSync(filename, Buffer.alloc(200_000, 1));
  await createFile(filename, 100_000);
  expect(fs.readFileSync(filename).equals(Buffer.alloc(100_000))).toBe(true);
});

test.each(["falloc", "full"] as const)("preallocation %s takes the blocks", async (preallocation) => {
  await driver.create?.(
    { filename, size: 1_000_000, values: { preallocation } },
    { ...bareContext(), warn: expect.unreachable, createFile: () => Promise.reject(new Error("not asked for")) },
  );
  expect(fs.readFileSync(filename).equals(Buffer.alloc(1_000_000))).toBe(true);
  expect(fs.statSync(filename).blocks * 512).toBeGreaterThanOrEqual(1_000_000);
});

test.runIf(fs.existsSync("/dev/shm"))(
  "an extent size that is wished for and cannot be had is told; none is wished for, and nothing is told",
  async () => {
    const told: string[] = [];
    const make = (hints: FileHints): Promise<void> => createFile("/dev/shm/coblock-hints", 100, { hints, warn: (line) => told.push(line) });
    try {
      await make({ noCopyOnWrite: true, extentSize: 4096, extentSizeAsked: false });
      expect(told).toEqual([]);
      await make({ noCopyOnWrite: false, extentSize: 4096, extentSizeAsked: true });
      expect(told).toEqual(["Failed to set extent size hint: Operation not supported"]);
      expect(fs.statSync("/dev/shm/coblock-hints").size).toBe(100);
    } finally {
      fs.rmSync("/dev/shm/coblock-hints");
    }
  },
);

test("a file that is in use keeps its content", async () => {
  fs.writeFileSync(filename, "precious");
  await using _image = await driver.open({ filename }, bareContext());
  await expect(createFile(filename, 0)).rejects.toMatchObject({
    code: "LOCKED",
    message: `Failed to get "write" lock\nIs another process using the image [${filename}]?`,
  });
  expect(fs.readFileSync(filename, "latin1")).toBe("precious");
});

test("places where no file can be", async () => {
  await expect(createFile(join(directory, "none", "file"), 0)).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: `Could not create '${directory}/none/file': No such file or directory`,
  });
  await expect(createFile(directory, 0)).rejects.toThrow(`Could not create '${directory}': it is a directory`);
  await expect(createFile("/dev/null", 1)).rejects.toMatchObject({ code: "NO_SPACE" });
});
