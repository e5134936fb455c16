/** What one image is given while it is opened and afterwards: its children, its services, its node. */

import { BlockChild } from "../child.ts";
import type { Clock } from "../coroutine/clock.ts";
import type { Offload } from "../coroutine/offload.ts";
import type { Access, ChildRole, DriverKind, HostSpan, NamedFile, OpenContext } from "../driver.ts";
import { assert, BlockError } from "../errors.ts";
import type { Entropy } from "../host/entropy.ts";
import type { ImageServices } from "../mapping/image-services.ts";
import type { BlockNode } from "../node.ts";
import type { DescribedNode, NodeOptions } from "../options.ts";
import { asPath, parseFileName, resolveBeside } from "./filename.ts";
import type { GraphParts } from "./graph-parts.ts";
import { MAX_CHAIN_LENGTH, type NodeFactory, type Place } from "./node-factory.ts";

export interface ImageContextParts {
  readonly graph: GraphParts;
  readonly factory: NodeFactory;
  readonly services: ImageServices;
  readonly name: string;
  readonly kind: DriverKind;
  readonly probed: boolean;
  readonly place: Place;
}

export class ImageContext implements OpenContext {
  readonly nodeName: string;
  readonly readOnly: boolean;
  readonly forCheck: boolean;
  readonly probed: boolean;
  readonly discard: "ignore" | "unmap";
  readonly access: Access;
  readonly clock: Clock;
  readonly offload: Offload;
  readonly entropy: Entropy;
  readonly signal: AbortSignal | undefined;
  /** Opened so far, in order. */
  readonly children: Map<string, BlockChild> = new Map();
  readonly #parts: ImageContextParts;
  #node: BlockNode | undefined;

  constructor(parts: ImageContextParts) {
    this.#parts = parts;
    this.nodeName = parts.name;
    this.readOnly = parts.place.readOnly;
    this.forCheck = parts.place.forCheck;
    this.probed = parts.probed;
    this.discard = parts.place.discard;
    this.access = parts.place.access;
    this.clock = parts.graph.clock;
    this.offload = parts.graph.offload;
    this.entropy = parts.graph.entropy;
    this.signal = parts.place.signal;
  }

  /** The node is there: `exclusive` and `fail` work from now on. */
  attach(node: BlockNode): void {
    this.#node = node;
    const { failure } = this.#parts.services;
    if (failure !== undefined) node.requests.fail(failure);
  }

  get fileName(): string {
    return this.childFileName ?? this.nodeName;
  }

  /** The name of the file below, or of what is filtered. */
  get childFileName(): string | undefined {
    const children = [...this.children.values()];
    return (this.children.get("file") ?? children.find(({ role }) => role === "filtered"))?.fileName;
  }

  secret(id: string): Uint8Array {
    return this.#parts.graph.secrets.get(id);
  }

  async child(name: string, role: ChildRole, options: NodeOptions | undefined): Promise<BlockChild> {
    assert(!this.children.has(name), `a node has one child '${name}'`);
    if (options === undefined)
      throw new BlockError("INVALID_OPTION", `${this.nodeName}: option '${name}' is missing`, { node: this.nodeName });
    const node = await this.#parts.factory.open(options, this.#placeOf(role));
    const child = new BlockChild(name, role, node);
    this.children.set(name, child);
    if (role !== "backing") this.#refuseLoop(child.fileName, child.node.identity);
    return child;
  }

  async namedChild(name: string, role: ChildRole, named: NamedFile): Promise<BlockChild> {
    const target = this.#resolveNamed(role, named.filename);
    this.#refuseLoop(target, undefined);
    if (target === this.fileName) this.#throwLoop(target);
    const { implicitOpen } = this.#parts.graph;
    const allowed =
      typeof implicitOpen === "function"
        ? implicitOpen({ image: this.fileName, role, target, format: named.format })
        : implicitOpen === "allow";
    if (!allowed) {
      const message = `'${this.fileName}' names '${target}' as its ${role} file, and opening files that an image names is not allowed here (implicitOpen)`;
      throw new BlockError("NOT_ALLOWED", message, { node: this.nodeName });
    }
    if (role === "backing" && this.#parts.place.ancestry.length + 1 >= MAX_CHAIN_LENGTH) {
      throw new BlockError("NOT_ALLOWED", `The backing chain of '${this.fileName}' is longer than ${MAX_CHAIN_LENGTH} images`, {
        node: this.nodeName,
      });
    }
    const options = named.format === undefined ? target : ({ driver: named.format, file: target } as DescribedNode);
    try {
      return await this.child(name, role, options);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      const { code, message, node, offset, errno, wanted } = error;
      throw new BlockError(code, message, { cause: error, node, offset, errno, wanted, role });
    }
  }

  retire(span: HostSpan, { discard = this.discard === "unmap" }: { readonly discard?: boolean } = {}): void {
    this.#parts.services.retired.retire(span, discard);
  }

  empty(span: HostSpan): void {
    this.#parts.services.retired.empty(span);
  }

  dataBarrier(): Promise<void> {
    return this.#parts.services.dataBarrier();
  }

  async exclusive<T>(section: () => Promise<T>, options?: { readonly block: "all" | "allocations" }): Promise<T> {
    assert(this.#node !== undefined, "exclusive mode is for images that are open");
    if (options?.block !== "allocations") return this.#node.exclusive(section);
    using _plug = await this.#parts.services.slots.plug();
    return await section();
  }

  fail(error: BlockError): void {
    this.#parts.services.fail(error);
    this.#node?.requests.fail(error);
  }

  /** Names in images are plain paths or URLs, never options: `json:` would let an image open what it likes. */
  #resolveNamed(role: ChildRole, filename: string): string {
    const parsed = filename.startsWith("json:") ? undefined : parseFileName(filename);
    const protocol = parsed?.kind === "path" ? (parsed.protocol ?? "file") : undefined;
    if (protocol === undefined || this.#parts.graph.drivers.protocol(protocol)?.kind !== "protocol" || filename.includes("\0")) {
      const message = `'${this.fileName}' names '${filename}' as its ${role} file, which is no plain path or URL of a known protocol`;
      throw new BlockError("NOT_ALLOWED", message, { node: this.nodeName });
    }
    const onHost = this.children.get("file")?.node.driver === "file";
    return resolveBeside(onHost ? asPath(this.fileName) : this.fileName, filename);
  }

  #placeOf(role: ChildRole): Place {
    const { place } = this.#parts;
    if (role === "backing") {
      const ancestry = [...place.ancestry, { identity: this.children.get("file")?.node.identity, fileName: this.fileName }];
      const writable = place.writableBacking === 1;
      const access = { ...place.access, write: writable, resize: writable };
      const writableBacking = Math.max(0, place.writableBacking - 1);
      return { ...place, level: "format", readOnly: !writable, forCheck: false, ancestry, writableBacking, access };
    }
    // The metadata of a format that is open must not change under it.
    const shares = this.#parts.kind !== "format" || !role.includes("metadata");
    const access = { ...place.access, shareWrite: place.access.shareWrite && shares, shareResize: place.access.shareResize && shares };
    const filtered = role === "filtered";
    // A format has its own word on what it gives up; a file below it does as it is told.
    const discard = this.#parts.kind === "format" ? "unmap" : place.discard;
    return { ...place, discard, level: filtered ? place.level : "protocol", forCheck: place.forCheck && filtered, access };
  }

  /** Asked before a file is opened by its name, and again when it is known which file that is. */
  #refuseLoop(fileName: string, identity: string | undefined): void {
    const { ancestry } = this.#parts.place;
    if (!ancestry.some((above) => above.fileName === fileName || (identity !== undefined && above.identity === identity))) return;
    this.#throwLoop(fileName);
  }

  #throwLoop(fileName: string): never {
    throw new BlockError("NOT_ALLOWED", `The backing chain is a loop: '${fileName}' is its own backing file`, { node: this.nodeName });
  }
}
