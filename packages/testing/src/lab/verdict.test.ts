import type { BlockNode, BlockStatus, CheckResult, Finding } from "@coblock/core";
import { describe, expect, test } from "vitest";
import type { LabDisk } from "./lab-disk.ts";
import { expectContent, expectSound } from "./verdict.ts";

function finding(severity: Finding["severity"], what: string): Finding {
  return { severity, what, offset: 0, meaning: "", repair: "", risk: "" };
}

function result(counts: Partial<CheckResult>): CheckResult {
  return { errors: 0, corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0, ...counts };
}

/** A node whose check finds that. */
function checked(found: CheckResult | undefined, findings: readonly Finding[] = []): BlockNode {
  const check = async (_options: object, report: (one: Finding) => void): Promise<CheckResult | undefined> => {
    for (const one of findings) report(one);
    return found;
  };
  return { check } as unknown as BlockNode;
}

describe("an image is sound", () => {
  const strict = { leaksAllowed: false, what: "disk" };
  const lenient = { leaksAllowed: true, what: "disk" };

  test("where its check finds nothing, or there is none", async () => {
    await expectSound(checked(undefined), strict);
    await expectSound(checked(result({})), strict);
    await expectSound(checked(result({ leaks: 2 }), [finding("leak", "cluster 7")]), lenient);
  });

  test("also with errors that are said to be harmless, and with no other", async () => {
    const harmless = { ...lenient, harmless: /^flag/ };
    const flags = [finding("error", "flag 1"), finding("error", "flag 2")];
    await expectSound(checked(result({ corruptions: 2, leaks: 1 }), flags), harmless);
    await expect(expectSound(checked(result({ corruptions: 2 }), flags), lenient)).rejects.toThrow("flag 1");
    const worse = checked(result({ corruptions: 3 }), [...flags, finding("error", "cluster 8 has two owners")]);
    await expect(expectSound(worse, harmless)).rejects.toThrow("cluster 8");
  });

  test("but not with corruptions, errors, or leaks where there may be none; it is told which", async () => {
    const leak = finding("leak", "cluster 7 is leaked");
    const error = finding("error", "cluster 8 has two owners");
    await expect(expectSound(checked(result({ leaks: 1 }), [leak]), strict)).rejects.toMatchObject({
      kind: "wrong",
      message: "disk: its check finds 0 errors, 0 corruptions, 1 leaks\n  cluster 7 is leaked",
    });
    await expect(expectSound(checked(result({ corruptions: 1, leaks: 1 }), [leak, error]), lenient)).rejects.toThrow(
      "disk: its check finds 0 errors, 1 corruptions, 1 leaks\n  cluster 8 has two owners",
    );
    await expect(expectSound(checked(result({ errors: 1 })), lenient)).rejects.toThrow("finds 1 errors");
  });
});

describe("the content", () => {
  const extents: readonly BlockStatus[] = [
    { kind: "data", offset: 0, length: 512 },
    { kind: "zero", offset: 512, length: 1024 },
    { kind: "compressed", offset: 1536, length: 512 },
  ] as unknown as readonly BlockStatus[];
  const node = {
    size: 2048,
    read: async (offset: number, into: Uint8Array) => void into.fill(offset / 512 + 1),
    async *extents() {
      yield* extents;
    },
  } as unknown as BlockNode;
  const disk = { name: "disk", touched: [{ offset: 1024, length: 512 }] } as unknown as LabDisk;

  test("is looked at wherever there is data, and wherever the run was", async () => {
    const seen: string[] = [];
    await expectContent(disk, node, (offset, bytes) => void seen.push(`${offset}+${bytes.length}: ${bytes[0]}`));
    expect(seen).toEqual(["1024+512: 3", "0+512: 1", "1536+512: 4"]);
  });

  test("is wrong by the disk's name", async () => {
    const refused = expectContent(disk, node, (offset) => {
      if (offset === 1536) throw new Error("at offset 1536 there is [04], and should be [05]");
    });
    await expect(refused).rejects.toMatchObject({ kind: "wrong", message: "disk: at offset 1536 there is [04], and should be [05]" });
  });
});
