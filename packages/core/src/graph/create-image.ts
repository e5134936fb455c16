/** Makes new images: checks the options against the driver's own list, gives it files to write to, and closes them. */

import { BlockChild } from "../child.ts";
import type { WaitOptions } from "../coroutine/held.ts";
import type { CreateContext, CreateOption, CreateValue } from "../creation.ts";
import type { BlockDriver } from "../driver.ts";
import { BlockError } from "../errors.ts";
import { Failures } from "../failures.ts";
import type { BlockNode } from "../node.ts";
import type { DescribedNode, NodeOptions } from "../options.ts";
import type { GraphParts } from "./graph-parts.ts";
import { parseFileName } from "./filename.ts";
import type { NodeFactory, Place } from "./node-factory.ts";

/** A new image. */
export interface CreateOptions {
  readonly driver: string;
  readonly filename: string;
  /** Virtual size in bytes. */
  readonly size: number;
  /** The driver's own options by their `CreateOption.name`. */
  readonly values?: Readonly<Record<string, CreateValue>>;
  /** What the protocol's driver takes for the files that are made (`nocow`), by their `CreateOption.name`. */
  readonly fileValues?: Readonly<Record<string, CreateValue>>;
  /** Called with what was asked for and could not be done, where the image is good without it. */
  readonly onWarning?: (message: string) => void;
  /** Written into the image as it stands; it is not opened. */
  readonly backing?: { readonly filename: string; readonly format?: string };
  /** An open, growable node to format instead of making the file `filename`; its content is lost. */
  readonly file?: NodeOptions;
}

const CREATION: Place = {
  level: "protocol",
  readOnly: false,
  forCheck: false,
  discard: "unmap",
  noFlush: false,
  access: { write: true, resize: true, shareWrite: false, shareResize: false, force: false },
  ancestry: [],
  writableBacking: 0,
};

export async function createImage(graph: GraphParts, factory: NodeFactory, options: CreateOptions, creating: WaitOptions): Promise<void> {
  const driver = await graph.drivers.load(options.driver);
  if (driver.create === undefined) throw new BlockError("UNSUPPORTED_FEATURE", `Driver '${driver.name}' cannot create images`);
  if (!Number.isSafeInteger(options.size) || options.size < 0)
    throw new BlockError("INVALID_OPTION", `${options.size} is no size in bytes`);
  const values = checkValues(driver, driver.kind === "protocol" ? { ...options.fileValues, ...options.values } : (options.values ?? {}));
  const opened: BlockNode[] = [];
  const context: CreateContext = {
    ...servicesOf(graph, options),
    signal: creating.signal,
    createFile: async (name, size) => {
      const node = await makeFile(graph, factory, options, name, size);
      opened.push(node);
      return new BlockChild("file", "data and metadata", node);
    },
  };
  const failures = new Failures();
  const backing = options.backing === undefined ? {} : { backing: { filename: options.backing.filename, format: options.backing.format } };
  await failures.attempt(() => driver.create?.({ filename: options.filename, size: options.size, values, ...backing }, context));
  for (const node of opened.reverse()) await failures.attempt(() => node[Symbol.asyncDispose]());
  failures.throwFirst();
}

/** A fresh file of zeros, held by the caller. */
async function makeFile(graph: GraphParts, factory: NodeFactory, options: CreateOptions, name: string, size: number): Promise<BlockNode> {
  if (options.file !== undefined && name === options.filename) {
    const node = await factory.open(options.file, CREATION);
    try {
      await node.resize(0, { shrink: true });
      await node.resize(size);
      return node;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }
  const parsed = parseFileName(name);
  const protocol = parsed.kind === "path" ? (parsed.protocol ?? "file") : "json";
  const driver = await graph.drivers.protocol(protocol)?.load();
  if (parsed.kind !== "path" || driver?.create === undefined)
    throw new BlockError("INVALID_OPTION", `'${name}' is no place to create an image`);
  await driver.create(
    { filename: parsed.path, size, values: checkValues(driver, options.fileValues ?? {}) },
    { ...servicesOf(graph, options), createFile: () => Promise.reject(new BlockError("INVALID_OPTION", "a protocol makes its own file")) },
  );
  return factory.open({ driver: driver.name, filename: parsed.path } as DescribedNode, CREATION);
}

function servicesOf(
  { clock, offload, entropy, secrets }: GraphParts,
  { onWarning }: CreateOptions,
): Omit<CreateContext, "createFile" | "signal"> {
  return { clock, offload, entropy, secret: (id) => secrets.get(id), warn: (message) => onWarning?.(message) };
}

function checkValues(driver: BlockDriver, given: Readonly<Record<string, CreateValue>>): Readonly<Record<string, CreateValue>> {
  const known = driver.createOptions ?? [];
  const values: Record<string, CreateValue> = {};
  for (const option of known) if (option.defaultValue !== undefined) values[option.name] = option.defaultValue;
  for (const [name, value] of Object.entries(given)) {
    const option = known.find((candidate) => candidate.name === name);
    if (option === undefined)
      throw new BlockError("INVALID_OPTION", `Invalid parameter '${name}': driver '${driver.name}' does not create with it`);
    checkValue(option, value);
    values[name] = value;
  }
  return values;
}

function checkValue(option: CreateOption, value: CreateValue): void {
  const fits = {
    size: typeof value === "number" && Number.isSafeInteger(value) && value >= 0,
    number: typeof value === "number" && Number.isSafeInteger(value),
    flag: typeof value === "boolean",
    text: typeof value === "string",
    choice: option.choices?.includes(String(value)) === true,
  }[option.type];
  if (fits) return;
  const wanted = option.type === "choice" ? `one of ${option.choices?.join(", ")}` : `a ${option.type}`;
  throw new BlockError("INVALID_OPTION", `Invalid parameter '${option.name}': '${String(value)}' is not ${wanted}`);
}
