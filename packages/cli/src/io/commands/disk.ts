/** Commands for the disk as a whole: `flush`, `truncate`, `length`, `info`, `discard`, `alloc` and `map`. */

import type { BlockNode, Preallocation } from "@coblock/core";
import { describeMembers } from "../../text/image-info.ts";
import { allocationAt } from "../allocation.ts";
import type { IoCommand } from "../command.ts";
import { IoFailure, IoUsage, systemWords } from "../failure.ts";
import { parseNumber } from "../number.ts";
import { parseRange } from "../ranges.ts";
import { describeRequest, formatQuantity } from "../report.ts";
import type { Shell } from "../shell.ts";

const PREALLOCATIONS: readonly string[] = ["off", "metadata", "falloc", "full"];
const DEFAULT_ALLOC_LENGTH = 512;

export const flush: IoCommand = {
  name: "flush",
  alias: "f",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "bring all that was written to stable storage",
  needs: "image",
  run: async ({ shell }) => {
    try {
      await shell.node.flush();
    } catch (error) {
      systemWords(error);
      throw new IoFailure("");
    }
  },
};

export const truncate: IoCommand = {
  name: "truncate",
  alias: "t",
  minimum: 1,
  maximum: 3,
  letters: "m:",
  synopsis: "[-m prealloc_mode] off",
  summary: "make the disk end at an offset",
  needs: "write",
  run: async (call) => {
    const preallocation = call.value("m") ?? "off";
    if (!isPreallocation(preallocation)) throw new IoFailure(`Invalid preallocation mode '${preallocation}'`, "named stderr");
    const [offset] = call.operands;
    if (offset === undefined) throw new IoUsage();
    await call.shell.node.resize(call.shell.number(offset), { preallocation, shrink: true });
  },
};

export const length: IoCommand = {
  name: "length",
  alias: "l",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "print how long the disk is",
  needs: "image",
  run: async ({ shell }) => shell.print(`${formatQuantity(shell.image.size)}\n`),
};

export const info: IoCommand = {
  name: "info",
  alias: "i",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "print what the image is",
  needs: "image",
  run: async ({ shell }) => {
    const { shown } = shell.image;
    const facts = await shown.info();
    const lines = [`format name: ${shown.driver}`];
    if (shown.kind === "protocol" || hasOwnNames(shown)) lines.push(`format name: ${shown.driver}`);
    if (isNothing(shown)) {
      shell.print(lines.map((line) => `${line}\n`).join(""));
      throw new IoFailure("");
    }
    lines.push(`cluster size: ${formatQuantity(facts.clusterSize ?? 0)}`);
    lines.push(`vm state offset: ${formatQuantity(facts.vmStateOffset ?? 0)}`);
    if (facts.formatSpecific !== undefined) lines.push("Format specific information:", ...describeMembers(facts.formatSpecific.data, 4));
    shell.print(lines.map((line) => `${line}\n`).join(""));
  },
};

/** Disks that are nowhere have no clusters, and so nothing to tell of: to QEMU that is a failure. */
function isNothing(node: BlockNode): boolean {
  const below = node.children.get("file")?.node;
  return below === undefined ? ["null", "null-co", "null-aio"].includes(node.driver) : isNothing(below);
}

export const discard: IoCommand = {
  name: "discard",
  alias: "d",
  minimum: 2,
  letters: "Cq",
  synopsis: "[-Cq] off len",
  summary: "say that a range of bytes is no longer wanted",
  explanation: `
 Example: 'discard 512 1k' gives up 1024 bytes at offset 512.

 -C  print the statistics in one line, for programs
 -q  print no statistics
`,
  needs: "write",
  run: async (call) => {
    const { shell } = call;
    if (call.operands.length !== 2) throw new IoUsage();
    const range = parseRange(shell, call.operands);
    const startedMs = shell.clock.now();
    try {
      await shell.node.discard(range.offset, range.length);
    } catch (error) {
      throw new IoFailure(`discard failed: ${systemWords(error)}`);
    }
    const elapsedMs = shell.clock.now() - startedMs;
    if (!call.has("q")) shell.print(describeRequest({ verb: "discard", ...range, elapsedMs, machine: call.has("C") }));
  },
};

export const alloc: IoCommand = {
  name: "alloc",
  alias: "a",
  minimum: 1,
  maximum: 2,
  synopsis: "offset [count]",
  summary: "print how many bytes of a range the image has itself",
  needs: "image",
  run: async ({ shell, operands: [offsetWord = "", countWord] }) => {
    const offset = parseNumber(offsetWord);
    const asked = countWord === undefined ? DEFAULT_ALLOC_LENGTH : parseNumber(countWord);
    const count = Math.max(0, Math.min(asked, shell.image.size - offset));
    let allocated = 0;
    try {
      for (let done = 0; done < count;) {
        const run = await allocationAt(shell.image, offset + done, count - done);
        if (run.allocated) allocated += run.length;
        done += run.length;
      }
    } catch (error) {
      throw new IoFailure(`is_allocated failed: ${systemWords(error)}`);
    }
    shell.print(`${allocated}/${count} bytes allocated at offset ${formatQuantity(offset)}\n`);
  },
};

export const map: IoCommand = {
  name: "map",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "print which ranges the image has itself",
  needs: "image",
  run: async ({ shell }) => {
    try {
      await printMap(shell);
    } catch (error) {
      throw new IoFailure(`Failed to get allocation status: ${systemWords(error)}`, "named stderr");
    }
  },
};

/** Equal neighbours are one run. */
async function printMap(shell: Shell): Promise<void> {
  const end = shell.image.size;
  for (let offset = 0; offset < end;) {
    let run = await allocationAt(shell.image, offset, end - offset);
    while (offset + run.length < end) {
      const next = await allocationAt(shell.image, offset + run.length, end - offset - run.length);
      if (next.allocated !== run.allocated) break;
      run = { ...run, length: run.length + next.length };
    }
    const bytes = `${formatQuantity(run.length)} (0x${run.length.toString(16)}) bytes`;
    const where = `${formatQuantity(offset)} (0x${offset.toString(16)})`;
    shell.print(`${bytes} ${run.allocated ? "    allocated" : "not allocated"} at offset ${where}\n`);
    offset += run.length;
  }
}

/** Filters that can be opened by a prefix of a file name count as protocols too. */
function hasOwnNames(node: BlockNode): boolean {
  return node.driver === "blkdebug" || node.driver === "blkverify";
}

function isPreallocation(word: string): word is Preallocation {
  return PREALLOCATIONS.includes(word);
}
