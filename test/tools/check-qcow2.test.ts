/** `check` of damaged qcow2 images with and without repair: what qemu-img says, its exit code, and what both tools then think of the file. */

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BlockGraph, type BlockNode, fileDriver, rawDriver } from "@coblock/core";
import { qcow2Driver } from "@coblock/qcow2";
import {
  BITMAP_DAMAGES,
  COMPRESSED_DAMAGES,
  type Damage,
  DamagedImage,
  DATA_FILE_DAMAGES,
  FLAG_DAMAGES,
  PLAIN_DAMAGES,
  SNAPSHOT_DAMAGES,
  SUBCLUSTER_DAMAGES,
} from "./qcow2-damages.ts";
import { type Outcome, wordsOf, Workbench } from "./workbench.ts";

interface Kind {
  readonly name: string;
  readonly options: string;
  readonly damages: Readonly<Record<string, Damage>>;
}

const ENTRY_DAMAGES = Object.fromEntries(Object.entries(PLAIN_DAMAGES).filter(([damage]) => /^(entry|copied)/.test(damage)));
const KINDS: readonly Kind[] = [
  { name: "plain", options: "cluster_size=4k", damages: { ...PLAIN_DAMAGES, ...FLAG_DAMAGES, ...COMPRESSED_DAMAGES } },
  { name: "v2", options: "cluster_size=4k,compat=0.10", damages: { ...ENTRY_DAMAGES, ...COMPRESSED_DAMAGES } },
  { name: "snapshot", options: "cluster_size=4k", damages: { ...PLAIN_DAMAGES, ...FLAG_DAMAGES, ...SNAPSHOT_DAMAGES } },
  { name: "extended", options: "cluster_size=16k,extended_l2=on", damages: { ...ENTRY_DAMAGES, ...SUBCLUSTER_DAMAGES } },
  { name: "external", options: "cluster_size=4k,data_file=external.data", damages: DATA_FILE_DAMAGES },
  { name: "bitmap", options: "cluster_size=4k", damages: { ...BITMAP_DAMAGES, ...FLAG_DAMAGES } },
];
const COMMANDS = ["", " -r leaks", " -r all", " --output=json -r all"] as const;

const KEPT = "leaks are kept while a damaged entry remains that may have led to them; qemu-img frees them, and the next write takes them";
const GROWN = "qemu-img grows the file up to a refcount block that lies far behind its end; here all refcounts are written anew";
const REFUSED = "qemu-img cannot repair it";
const SHARED = "a table that is a guest's cluster too is not written to; qemu-img corrects a flag there, and the guest's data with it";

const KEPT_BY_DAMAGE = [
  "entry-past-end",
  "entry-past-end-zero-flag",
  "entry-far-past-end",
  "l1-past-end",
  "l1-unaligned",
  "compressed-past-end",
  "snapshot-entry-past-end",
  "snapshot-l1-past-end",
  "snapshot-l1-too-long",
  "snapshot-l1-unaligned",
  "extended entry-zero",
  "extended entry-compressed",
  "subclusters-of-compressed",
  "subclusters-without-cluster",
];

/** Where a repair says something else than qemu-img, by damage, or by kind and damage. */
const DIFFERENCES: Readonly<Record<string, { readonly why: string; readonly commands: readonly string[] }>> = {
  ...Object.fromEntries(KEPT_BY_DAMAGE.map((damage) => [damage, { why: KEPT, commands: COMMANDS.slice(1) }])),
  "entry-to-l2": { why: SHARED, commands: COMMANDS.slice(2) },
  "table-past-end": { why: GROWN, commands: COMMANDS.slice(2) },
  "table-second-past-end": { why: GROWN, commands: COMMANDS.slice(2) },
  "table-just-past-end": { why: GROWN, commands: COMMANDS.slice(2) },
  "table-unaligned": { why: REFUSED, commands: COMMANDS.slice(2) },
  "table-reserved": { why: REFUSED, commands: COMMANDS.slice(2) },
  "v2 entry-unaligned-zero-flag": {
    why: "version 2 has no entry that reads as zeros; qemu-img clears the entry, so that a backing file would show",
    commands: COMMANDS.slice(2),
  },
  "snapshot entry-unaligned-zero-flag": {
    why: "the entry is counted once for the disk and once for the snapshot that shares its table",
    commands: COMMANDS.slice(2),
  },
};

const bench = new Workbench("memory");

beforeAll(() => {
  for (const { name, options, damages } of KINDS) {
    const file = `${name}.base.qcow2`;
    bench.qemuImg("create", "-q", "-f", "qcow2", "-o", options.replace("external.data", bench.path("external.data")), `@${file}`, "8M");
    const compressed = name === "external" ? [] : ["write -P 4 -c 512k 64k"];
    bench.qemuIo(file, "qcow2", "write -P 1 0 256k", "write -P 2 6M 64k", "write -z 300k 64k", ...compressed);
    if (name === "snapshot") bench.qemuImg("snapshot", "-c", "one", `@${file}`);
    if (name === "bitmap") bench.qemuImg("bitmap", "--add", `@${file}`, "nightly");
    const base = readFileSync(bench.path(file));
    for (const [damage, apply] of Object.entries(damages)) {
      const image = new DamagedImage(base);
      apply(image);
      writeFileSync(bench.path(`${name}-${damage}.qcow2`), image.bytes);
    }
  }
});
afterAll(() => bench[Symbol.dispose]());

type Answer = Pick<Outcome, "exitCode" | "stdout">;

/** What one tool makes of a copy of its own. */
async function answerOf(run: (words: readonly string[]) => Outcome | Promise<Outcome>, words: readonly string[]): Promise<Answer> {
  const image = words.at(-1)?.slice(1) ?? "";
  copyFileSync(bench.path(image), bench.path("copy.qcow2"));
  const { exitCode, stdout } = await run([...words.slice(0, -1), "@copy.qcow2"]);
  return { exitCode, stdout };
}

describe.each(KINDS)("$name", ({ name, damages }) => {
  it.each(Object.keys(damages))("%s: the same words and exit codes", async (damage) => {
    const differing: string[] = [];
    for (const command of COMMANDS) {
      const words = wordsOf(`check${command} @${name}-${damage}.qcow2`);
      const theirs = await answerOf((all) => bench.theirs(all), words);
      const ours = await answerOf((all) => bench.ours(all), words);
      const differs = DIFFERENCES[damage] ?? DIFFERENCES[`${name} ${damage}`];
      if (differs?.commands.includes(command) === true) differing.push(isDeepStrictEqual(ours, theirs) ? `${command} no longer` : command);
      else expect({ command, ...ours }).toEqual({ command, ...theirs });
    }
    for (const command of differing) expect(COMMANDS).toContain(command);
  });

  it.each(Object.keys(damages))(
    "%s: a repair loses nothing, says before what it does, and leaves what both tools find the same in",
    async (damage) => {
      const image = bench.path("repaired.qcow2");
      copyFileSync(bench.path(`${name}-${damage}.qcow2`), image);
      const before = readFileSync(image);
      const readable = await readableClusters(image);
      const planned = await bench.ours(wordsOf("check --output=json -r all --dry-run @repaired.qcow2"));
      expect(readFileSync(image).equals(before)).toBe(true);
      const done = await bench.ours(wordsOf("check --output=json -r all @repaired.qcow2"));
      expect(totalsOf(planned)).toEqual(totalsOf(done));
      const [ours, theirs] = [await bench.ours(wordsOf("check @repaired.qcow2")), bench.theirs(wordsOf("check @repaired.qcow2"))];
      expect({ exitCode: ours.exitCode, stdout: ours.stdout }).toEqual({ exitCode: theirs.exitCode, stdout: theirs.stdout });
      const after = await readableClusters(image);
      for (const [cluster, bytes] of readable) expect(after.get(cluster)?.equals(bytes), `cluster ${cluster}`).toBe(true);
      const once = readFileSync(image);
      await bench.ours(wordsOf("check -r all @repaired.qcow2"));
      expect(readFileSync(image).equals(once), "a second repair").toBe(true);
    },
  );
});

/** What a check counts, whether before or after. */
function totalsOf({ stdout }: Outcome): object {
  const { corruptions, leaks, ...json } = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
  return { corruptions, leaks, corruptionsFixed: json["corruptions-fixed"], leaksFixed: json["leaks-fixed"] };
}

/** Clusters of 4 KiB of the disk that can be read, by index. */
async function readableClusters(file: string): Promise<ReadonlyMap<number, Buffer>> {
  await using graph = new BlockGraph({ drivers: [fileDriver, rawDriver, qcow2Driver], implicitOpen: "allow" });
  const clusters = new Map<number, Buffer>();
  await using disk = await openOrNone(graph, file);
  for (let at = 0; disk !== undefined && at < disk.size; at += 4096) {
    const bytes = Buffer.alloc(4096);
    const isRead = await disk.read(at, bytes).then(
      () => true,
      () => false,
    );
    if (isRead) clusters.set(at / 4096, bytes);
  }
  return clusters;
}

async function openOrNone(graph: BlockGraph, file: string): Promise<BlockNode | undefined> {
  try {
    return await graph.open({ driver: "qcow2", file, readOnly: true });
  } catch {
    return undefined;
  }
}
