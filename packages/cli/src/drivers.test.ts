import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { DRIVERS } from "./drivers.ts";
import { main } from "./main.ts";

let folder = "";
const path = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coblock-drivers-"));
  writeFileSync(path("a.raw"), new Uint8Array(65_536));
  execFileSync("qemu-img", ["create", "-q", "-f", "qed", path("base.qed"), "1M"]);
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", path("base.qed"), "-F", "qed", path("top.qcow2")]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The drivers whose code a command asked for. */
async function loadedBy(words: readonly string[]): Promise<readonly string[]> {
  const spies = DRIVERS.map((entry) => ({ name: entry.name, spy: vi.spyOn(entry, "load") }));
  try {
    const sink = { write: () => {} };
    await main(
      words.map((word) => word.replace("@", `${folder}/`)),
      { stdout: sink, stderr: sink, env: {} },
    );
    return spies.filter(({ spy }) => spy.mock.calls.length > 0).map(({ name }) => name);
  } finally {
    for (const { spy } of spies) spy.mockRestore();
  }
}

it.each([
  [["--help"], []],
  [["help", "convert"], []],
  [["covnert"], []],
  [
    ["info", "@missing"],
    ["file", "raw"],
  ],
  [
    ["info", "@a.raw"],
    ["file", "raw"],
  ],
  [
    ["info", "@top.qcow2"],
    ["file", "raw", "qcow2"],
  ],
  [
    ["info", "-f", "qcow2", "@top.qcow2"],
    ["file", "qcow2"],
  ],
  [
    ["map", "-f", "qed", "@base.qed"],
    ["file", "qed"],
  ],
  [
    ["map", "--draw", "@top.qcow2"],
    ["file", "qcow2", "qed"],
  ],
  [
    ["convert", "-f", "raw", "-O", "raw", "@a.raw", "@b.raw"],
    ["file", "raw"],
  ],
])("%j loads %j and no other driver", async (words, expected) => {
  expect(new Set(await loadedBy(words))).toEqual(new Set(expected));
});
