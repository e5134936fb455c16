import { describe, expect, test } from "vitest";
import type { BlockDriver, BlockImage, DriverEntry } from "./driver.ts";
import { BlockError } from "./errors.ts";
import { LabDisk } from "./fixture/lab-disk.ts";
import { filled, labDriver, labOptions, settled, watch } from "./fixture/lab.ts";
import { BlockGraph } from "./graph.ts";
import type { BlockNode } from "./node.ts";
import type { PreparedReopen, ReopenOptions } from "./reopen.ts";

const options = (own: object): ReopenOptions => own;

/** Disks that say what becomes of their options; `tone` and `pitch` can be changed. */
class Instruments {
  readonly log: string[] = [];
  readonly disk: LabDisk = new LabDisk(4096);
  readonly graph: BlockGraph = new BlockGraph({ drivers: [this.#driver(), labDriver("still", "protocol", async () => new LabDisk(512))] });

  open(nodeName: string): Promise<BlockNode> {
    return this.graph.open(labOptions({ driver: "instrument", nodeName }));
  }

  #driver(): DriverEntry {
    const entry = labDriver("instrument", "protocol", async (_own, { nodeName }) => this.#image(nodeName));
    const load = async (): Promise<BlockDriver> => ({ ...(await entry.load()), reopenOptionNames: ["tone", "pitch"] });
    return { ...entry, load };
  }

  #image(name: string): BlockImage {
    const reopen = async (changed: object): Promise<PreparedReopen> => {
      this.log.push(`${name} prepares ${JSON.stringify(changed)}`);
      if ("pitch" in changed && changed.pitch === "too high") throw new BlockError("INVALID_OPTION", "no such pitch");
      return {
        commit: async () => void this.log.push(`${name} commits`),
        abort: async () => void this.log.push(`${name} aborts`),
      };
    };
    const { disk } = this;
    return {
      size: disk.size,
      limits: disk.limits,
      read: (offset, into) => disk.read(offset, into),
      reopen,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}

describe("reopening", () => {
  test("prepares and commits, when no request is in flight", async () => {
    const instruments = new Instruments();
    const node = await instruments.open("a");
    instruments.disk.holds = (name) => name.startsWith("read");
    const read = watch(node.read(0, filled(10, 0)));
    const reopening = watch(node.reopen(options({ tone: 5, pitch: undefined })));
    await settled();
    expect([read.state, reopening.state, instruments.log]).toEqual(["pending", "pending", []]);
    instruments.disk.release();
    await settled();
    expect([read.state, reopening.state]).toEqual(["fulfilled", "fulfilled"]);
    expect(instruments.log).toEqual(['a prepares {"tone":5}', "a commits"]);
  });

  test("of several nodes prepares the ones opened last first, and commits none before all are prepared", async () => {
    const instruments = new Instruments();
    const first = await instruments.open("a");
    const second = await instruments.open("b");
    await instruments.graph.reopen([
      { node: first, options: options({ tone: 1 }) },
      { node: second, options: options({ tone: 2 }) },
    ]);
    expect(instruments.log).toEqual(['b prepares {"tone":2}', 'a prepares {"tone":1}', "a commits", "b commits"]);
  });

  test("aborts what is prepared where one of the nodes refuses", async () => {
    const instruments = new Instruments();
    const first = await instruments.open("a");
    const second = await instruments.open("b");
    const change = instruments.graph.reopen([
      { node: first, options: options({ pitch: "too high" }) },
      { node: second, options: options({ tone: 2 }) },
    ]);
    await expect(change).rejects.toMatchObject({ code: "INVALID_OPTION", message: "no such pitch" });
    expect(instruments.log).toEqual(['b prepares {"tone":2}', 'a prepares {"pitch":"too high"}', "b aborts"]);
    await first.reopen(options({ tone: 3 }));
    expect(instruments.log.slice(-2)).toEqual(['a prepares {"tone":3}', "a commits"]);
  });

  test("names the option that cannot be changed, and those that can", async () => {
    const instruments = new Instruments();
    const node = await instruments.open("a");
    const still = await instruments.graph.open(labOptions({ driver: "still" }));
    const codeAndMessage = (code: string, message: RegExp): object => ({ code, message: expect.stringMatching(message) as unknown });
    await expect(node.reopen(options({ file: "x" }))).rejects.toMatchObject(
      codeAndMessage("INVALID_OPTION", /option 'file' cannot be changed while the image is open; it can change tone, pitch/),
    );
    await expect(node.reopen(options({ tone: 1, volume: 11 }))).rejects.toMatchObject(
      codeAndMessage("INVALID_OPTION", /driver 'instrument' has no option 'volume' that could be changed/),
    );
    await expect(still.reopen(options({ tone: 1 }))).rejects.toMatchObject(
      codeAndMessage("UNSUPPORTED_FEATURE", /driver 'still' has no options that can be changed/),
    );
    await still.reopen({});
    expect(instruments.log).toEqual([]);
    const twice = [options({ tone: 1 }), options({ tone: 2 })].map((each) => ({ node, options: each }));
    await expect(instruments.graph.reopen(twice)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await node[Symbol.asyncDispose]();
    await expect(node.reopen(options({ tone: 1 }))).rejects.toMatchObject({ code: "CLOSED" });
  });
});
