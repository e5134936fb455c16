/** `coblock bench`: many requests to an image, several at a time, and how long they took. */

import { BlockError, TaskGroup, type BlockNode } from "@coblock/core";
import { defineCommand, type Command } from "../command.ts";
import { besides, flag, value, type CommandLine } from "../command-line.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { checkCacheMode, openImage } from "../images.ts";
import { systemWords } from "../io/failure.ts";
import { sizeRangeWords } from "../qemu-words.ts";
import { parseCount, parseSize } from "../text/size.ts";

const OPTIONS = {
  count: value("c", besides("count")),
  depth: value("d", besides("depth")),
  format: value("f", besides("format")),
  flushInterval: value(undefined, "flush-interval"),
  aio: value("i", besides("aio")),
  native: flag("n", besides("native")),
  noDrain: flag(undefined, "no-drain"),
  offset: value("o", besides("offset")),
  pattern: value(undefined, "pattern"),
  quiet: flag("q", besides("quiet")),
  length: value("s", besides("buffer-size")),
  step: value("S", besides("step-size")),
  cache: value("t", besides("cache")),
  write: flag("w", besides("write")),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

interface Run {
  readonly count: number;
  readonly depth: number;
  readonly offset: number;
  /** Bytes of one request. */
  readonly length: number;
  readonly step: number;
  readonly write: boolean;
  readonly pattern: number;
  /** Requests between two flushes; 0: none. */
  readonly flushInterval: number;
  readonly drain: boolean;
}

export const command: Command = defineCommand({
  name: "bench",
  manual: async () => (await import("../manual/bench.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const run = parseRun(options);
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new UsageFailure("bench", "Expecting one image file name");
    const { format, imageOptions, forceShare } = options;
    if (session.program.kind !== "coblock") checkNativeAio(name, options);
    await using graph = session.createGraph();
    await using image = await openImage(graph, { name, format, imageOptions, forceShare, writable: run.write }, session);
    if (image.size === 0 && run.count > 0) throw new CommandFailure(`'${name}' is empty: there is nothing to send requests to`);
    const { count, depth, length, offset, step, flushInterval } = run;
    const what = `${count} ${run.write ? "write" : "read"} requests, ${length} bytes each, ${depth} in parallel`;
    session.output.line(`Sending ${what} (starting at offset ${offset}, step size ${step})`);
    if (flushInterval > 0) session.output.line(`Sending flush every ${flushInterval} requests`);
    session.output.flush();
    const startMs = session.clock.now();
    await new Bench(image, run).run(session.signal).catch((cause: unknown) => {
      if (!(cause instanceof BlockError)) throw cause;
      throw new CommandFailure(cause.message, 1, { cause, words: [`Failed request: ${systemWords(cause)}`] });
    });
    session.output.line(`Run completed in ${((session.clock.now() - startMs) / 1000).toFixed(3)} seconds.`);
    return 0;
  },
});

const MAX_REQUEST_LENGTH = 1024 * 1024 * 1024;

function parseRun(options: Words): Run {
  const count = options.count === undefined ? 75_000 : parseCount(options.count, "request count");
  const depth = options.depth === undefined ? 64 : parseCount(options.depth, "queue depth");
  const length = options.length === undefined ? 4096 : parseSize(options.length, "buffer size");
  const step = options.step === undefined ? 0 : parseSize(options.step, "step_size");
  const flushInterval = options.flushInterval === undefined ? 0 : parseCount(options.flushInterval, "flush interval");
  const pattern = options.pattern === undefined ? 0 : parseCount(options.pattern, "pattern byte");
  const offset = options.offset === undefined ? 0 : parseSize(options.offset, "offset");
  if (depth < 1) throw new CommandFailure("Invalid queue depth specified: at least one request must be in flight");
  if (length > MAX_REQUEST_LENGTH)
    throw new CommandFailure(`Invalid buffer size specified: '${options.length}' is more than 1G`, 1, {
      words: sizeRangeWords("buffer size", 0, "2147483647"),
    });
  if (pattern > 255)
    throw new CommandFailure(`Invalid pattern byte specified: '${options.pattern}'`, 1, { words: ["Invalid pattern byte specified"] });
  if (flushInterval > 0 && !options.write) throw new CommandFailure("--flush-interval is only available in write tests");
  if (flushInterval > 0 && flushInterval < depth) throw new CommandFailure("Flush interval can't be smaller than depth");
  if (options.aio !== undefined && !["threads", "native", "io_uring"].includes(options.aio))
    throw new CommandFailure(`Invalid aio option: ${options.aio}`);
  checkCache(options.cache);
  return {
    count,
    depth,
    offset,
    length,
    step: step === 0 ? length : step,
    write: options.write,
    pattern,
    flushInterval,
    drain: !options.noDrain,
  };
}

/** To Coblock all modes are one. */
function checkNativeAio(name: string, { native, aio, cache = "writeback" }: Words): void {
  if ((native || aio === "native") && !["none", "off", "directsync"].includes(cache))
    throw new CommandFailure(
      `Could not open '${name}': aio=native was specified, but it requires cache.direct=on, which was not specified.`,
    );
}

function checkCache(mode: string | undefined): void {
  try {
    checkCacheMode(mode, "cache");
  } catch (cause) {
    throw cause instanceof CommandFailure ? new CommandFailure(cause.message, 1, { cause, words: ["Invalid cache mode"] }) : cause;
  }
}

class Bench {
  readonly #image: BlockNode;
  readonly #run: Run;
  #offset: number;
  #started = 0;

  constructor(image: BlockNode, run: Run) {
    this.#image = image;
    this.#run = run;
    this.#offset = run.offset;
  }

  /** Between two flushes that wait for what is in flight, all workers end; else they go on to the last request. */
  async run(signal: AbortSignal): Promise<void> {
    const { count, flushInterval, drain } = this.#run;
    const batch = flushInterval > 0 && drain ? flushInterval : count;
    while (this.#started < count) {
      await this.#send(Math.min(this.#started + batch, count), signal);
      if (batch < count || (flushInterval > 0 && drain && this.#started % flushInterval === 0)) await this.#image.flush();
    }
  }

  async #send(until: number, signal: AbortSignal): Promise<void> {
    const group = new TaskGroup({ signal });
    for (let worker = 0; worker < this.#run.depth; worker++) await group.spawn((inner) => this.#work(until, inner));
    await group.close();
  }

  async #work(until: number, signal: AbortSignal): Promise<void> {
    const image = this.#image;
    const { length, step, write, pattern, flushInterval, drain } = this.#run;
    const buffer = Buffer.alloc(length, write ? pattern : 0);
    while (this.#started < until && !signal.aborted) {
      const offset = this.#offset;
      this.#offset = offset + step < image.size ? offset + step : (offset + step) % image.size;
      const number = ++this.#started;
      if (write) await image.write(offset, buffer);
      else await image.read(offset, buffer);
      if (flushInterval > 0 && !drain && number % flushInterval === 0) await image.flush();
    }
  }
}
