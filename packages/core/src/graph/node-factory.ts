/** Opens nodes: from a file name or described options to an image with its children, in the order that the image asks for. */

import type { DirtyBitmap } from "../bitmap/dirty-bitmap.ts";
import type { Access, BlockDriver, BlockImage, MappedImage } from "../driver.ts";
import { BlockError, wantedFor } from "../errors.ts";
import { Failures } from "../failures.ts";
import { ImageServices } from "../mapping/image-services.ts";
import { MappingEngine } from "../mapping/engine.ts";
import { BlockNode } from "../node.ts";
import type { CommonOptions, DescribedNode, NodeOptions } from "../options.ts";
import type { GraphParts } from "./graph-parts.ts";
import { PROBE_LENGTH } from "./driver-table.ts";
import { parseFileName } from "./filename.ts";
import { ImageContext } from "./image-context.ts";

/** Where a node stands when it is opened. */
export interface Place {
  /** What a plain string means: a file to be probed for its format, or the file itself. */
  readonly level: "format" | "protocol";
  readonly readOnly: boolean;
  /** To be checked: see `OpenContext.forCheck`. */
  readonly forCheck: boolean;
  readonly discard: "ignore" | "unmap";
  /** Flushes do not go to the disk. */
  readonly noFlush: boolean;
  readonly access: Access;
  /** The images above in the chain of backing files: opening one of them again would be a loop. */
  readonly ancestry: readonly Ancestor[];
  /** Layers from here down to the backing file that is writable; 0: none is. */
  readonly writableBacking: number;
  readonly signal?: AbortSignal | undefined;
}

/** What the caller of `openName` says of the image. */
export interface NameChoice {
  readonly driver?: string | undefined;
  readonly backing?: NodeOptions | null | undefined;
  readonly nodeName?: string | undefined;
}

interface FormatChoice extends Omit<NameChoice, "driver"> {
  /** Of the image, for messages. */
  readonly name: string;
  readonly probed: boolean;
}

/** An image above in the chain of backing files. */
interface Ancestor {
  readonly identity: string | undefined;
  readonly fileName: string;
}

/** Longest backing chain. */
export const MAX_CHAIN_LENGTH = 200;

/** Options of every node, taken off before a driver sees its own. */
const COMMON_OPTIONS = ["driver", "nodeName", "readOnly", "discard", "cache", "forceShare", "autoReadOnly", "detectZeroes"];

export class NodeFactory {
  readonly #graph: GraphParts;

  constructor(graph: GraphParts) {
    this.#graph = graph;
  }

  /** A node that the caller holds once. A failed open leaves nothing open. */
  async open(options: NodeOptions, place: Place): Promise<BlockNode> {
    place.signal?.throwIfAborted();
    if (options instanceof BlockNode) return this.#share(options, place);
    if (typeof options === "string") return this.openName(options, place, {});
    return this.#openDescribed(options, place, false);
  }

  /** A file by its name: a `json:` name describes itself; else its format is given, or probed. */
  async openName(name: string, place: Place, choice: NameChoice): Promise<BlockNode> {
    const parsed = parseFileName(name);
    if (parsed.kind === "json") {
      const { driver } = parsed.options;
      if (choice.driver !== undefined && choice.driver !== driver)
        throw new BlockError(
          "INVALID_OPTION",
          `Could not open '${name}': it says driver '${String(driver)}', and '${choice.driver}' is asked for`,
        );
      return this.#openDescribed(parsed.options as unknown as DescribedNode, place, false);
    }
    const protocol = parsed.protocol ?? "file";
    const entry = this.#graph.drivers.protocol(protocol);
    if (entry === undefined) throw new BlockError("INVALID_OPTION", `Could not open '${name}': Unknown protocol '${protocol}'`);
    const options = entry.parseFileName?.(parsed.path) ?? { filename: parsed.path };
    const described = { driver: entry.name, ...options } as unknown as DescribedNode;
    if (place.level === "protocol" || choice.driver === entry.name)
      return this.#openDescribed({ ...described, ...namedNode(choice) }, place, false);
    if (choice.driver !== undefined) return this.#openOver(described, choice.driver, place, { ...choice, name, probed: false });
    if (entry.connects !== true) {
      const access: Access = { write: false, resize: false, shareWrite: true, shareResize: true, force: true };
      const format = await this.#probe(described, { ...place, readOnly: true, access });
      return this.#openOver(described, format, place, { ...choice, name, probed: true });
    }
    await using file = await this.#openDescribed(described, { ...place, level: "protocol" }, false);
    const format = await this.#formatOf(file);
    return await this.#openOver(file, format, place, { ...choice, name, probed: true });
  }

  /** The format `format` over `file`. */
  async #openOver(file: NodeOptions, format: string, place: Place, choice: FormatChoice): Promise<BlockNode> {
    const { name } = choice;
    const driver = await this.#graph.drivers.load(format);
    const takesBacking = driver.optionNames.includes("backing");
    if (choice.backing != null && !takesBacking)
      throw new BlockError("INVALID_OPTION", `Could not open '${name}': driver '${format}' has no backing files`);
    const backing = choice.backing !== undefined && takesBacking ? { backing: choice.backing } : {};
    const complete = { driver: format, file, ...namedNode(choice), ...backing };
    return this.#openDescribed(complete as unknown as DescribedNode, place, choice.probed);
  }

  #share(node: BlockNode, place: Place): BlockNode {
    if (node.readOnly && !place.readOnly)
      throw new BlockError("READ_ONLY", `${node.name} is read-only and cannot serve a writable image`, { node: node.name });
    return node.retain();
  }

  async #probe(described: DescribedNode, place: Place): Promise<string> {
    await using file = await this.#openDescribed(described, { ...place, level: "protocol" }, false);
    return await this.#formatOf(file);
  }

  /** The format that the first bytes tell. */
  async #formatOf(file: BlockNode): Promise<string> {
    const head = new Uint8Array(Math.min(PROBE_LENGTH, file.size));
    await file.read(0, head).catch((error: unknown) => {
      throw wantedFor("format", error);
    });
    return this.#graph.drivers.probe(head, file.fileName);
  }

  async #openDescribed(options: DescribedNode, place: Place, probed: boolean): Promise<BlockNode> {
    const entry = this.#graph.drivers.entry(options.driver);
    const driver = await entry.load();
    const common = commonOptions(options, place);
    const own = ownOptions(options, driver);
    const name = this.#graph.nodes.reserve(options.nodeName);
    const services = new ImageServices(common.discard);
    const context = new ImageContext({ graph: this.#graph, factory: this, services, name, kind: entry.kind, probed, place: common });
    let image: BlockImage | MappedImage | undefined;
    try {
      image = await driver.open(own, context);
      const loadedBitmaps = common.readOnly || common.forCheck ? undefined : await image.bitmaps?.load();
      return this.#build(image, { name, driver, context, services, options, place: common, loadedBitmaps });
    } catch (error) {
      this.#graph.nodes.release(name);
      const failures = new Failures();
      await failures.attempt(() => image?.[Symbol.asyncDispose]());
      for (const child of [...context.children.values()].reverse()) await failures.attempt(() => child.node[Symbol.asyncDispose]());
      throw error;
    }
  }

  #build(image: BlockImage | MappedImage, parts: BuildParts): BlockNode {
    const { name, driver, context, services, place, loadedBitmaps } = parts;
    const mapped = "lookup" in image;
    const node = new BlockNode({
      name,
      driver,
      fileName: context.childFileName ?? image.fileName ?? ownFileName(parts.options) ?? name,
      readOnly: place.readOnly,
      forCheck: place.forCheck,
      discard: place.discard,
      detectZeroes: parts.options.detectZeroes ?? "off",
      noFlush: place.noFlush,
      image: mapped ? new MappingEngine(image, services, place.readOnly) : image,
      loadedBitmaps,
      children: context.children,
      locks: () => (mapped ? [image.state.inspect()] : []),
      clock: this.#graph.clock,
      turns: this.#graph.turns,
      onClosed: () => this.#graph.nodes.release(name),
    });
    this.#graph.nodes.add(node);
    for (const child of context.children.values()) child.node.parents.add(node);
    context.attach(node);
    return node;
  }
}

function namedNode({ nodeName }: Pick<NameChoice, "nodeName">): { readonly nodeName?: string } {
  return nodeName === undefined ? {} : { nodeName };
}

interface BuildParts {
  readonly name: string;
  readonly driver: BlockDriver;
  readonly context: ImageContext;
  readonly services: ImageServices;
  readonly options: DescribedNode;
  readonly place: Place;
  readonly loadedBitmaps: readonly DirtyBitmap[] | undefined;
}

function ownFileName(options: DescribedNode): string | undefined {
  return "filename" in options && typeof options.filename === "string" ? options.filename : undefined;
}

function commonOptions(options: DescribedNode, place: Place): Place {
  checkCommonOptions(options);
  const readOnly = options.readOnly ?? place.readOnly;
  if (!readOnly && place.readOnly)
    throw new BlockError("INVALID_OPTION", `a child of a read-only node cannot be writable (driver '${options.driver}')`);
  const force = options.forceShare ?? place.access.force;
  if (force && !readOnly) throw new BlockError("INVALID_OPTION", "forceShare is for read-only images: two writers would corrupt the image");
  const discard = options.discard ?? place.discard;
  if (options.detectZeroes === "unmap" && discard === "ignore")
    throw new BlockError("INVALID_OPTION", "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
  const access = { ...place.access, write: place.access.write && !readOnly, resize: place.access.resize && !readOnly, force };
  return { ...place, readOnly, discard, noFlush: options.cache?.noFlush ?? place.noFlush, access };
}

/** Options that came as JSON may be of any type. */
function checkCommonOptions(options: { readonly [Name in keyof CommonOptions]: unknown }): void {
  const { nodeName, readOnly, discard, cache, forceShare, autoReadOnly, detectZeroes } = options;
  const noFlush = typeof cache === "object" && cache !== null && "noFlush" in cache ? cache.noFlush : undefined;
  const wrong = [
    ["nodeName", nodeName, typeof nodeName === "string" && nodeName !== ""],
    ["readOnly", readOnly, typeof readOnly === "boolean"],
    ["discard", discard, discard === "ignore" || discard === "unmap"],
    ["cache", cache, typeof cache === "object" && cache !== null],
    ["cache.noFlush", noFlush, typeof noFlush === "boolean"],
    ["forceShare", forceShare, typeof forceShare === "boolean"],
    ["autoReadOnly", autoReadOnly, typeof autoReadOnly === "boolean"],
    ["detectZeroes", detectZeroes, detectZeroes === "off" || detectZeroes === "on" || detectZeroes === "unmap"],
  ].find(([, value, fits]) => value !== undefined && fits === false);
  if (wrong !== undefined) throw new BlockError("INVALID_OPTION", `Option '${String(wrong[0])}' cannot be ${JSON.stringify(wrong[1])}`);
}

/** The driver's own options; any other is refused by name. */
function ownOptions(options: DescribedNode, driver: BlockDriver): object {
  const own: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (COMMON_OPTIONS.includes(name) || value === undefined) continue;
    if (!driver.optionNames.includes(name))
      throw new BlockError(
        "INVALID_OPTION",
        `Driver '${driver.name}' has no option '${name}'; it has ${driver.optionNames.join(", ") || "none"}`,
      );
    own[name] = value;
  }
  return own;
}
