/** A disk as clients see it: name, size, abilities, contexts. */

import { BlockError, type BlockNode, isPowerOfTwo } from "@coblock/core";
import { EXPORT_FLAG, MAX_PAYLOAD_LENGTH, MAX_STRING_LENGTH } from "../protocol/codes.ts";
import type { BlockSizes } from "../protocol/export-info.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import { findServedBitmap } from "./served-bitmap.ts";
import { allocationContext, bitmapContext, depthContext, type ServedContext } from "./served-context.ts";

/** What is served under which name. */
export interface NbdExport {
  /** What clients ask for; "" is the default export. At most 4096 bytes of UTF-8. */
  readonly name: string;
  /** Words for whoever reads the list. */
  readonly description?: string;
  /** The disk, which stays open for as long as the server does; a function is called when a client has chosen the export, once. */
  readonly node: BlockNode | (() => Promise<BlockNode>);
  /** Default false. */
  readonly writable?: boolean;
  /** Names of dirty bitmaps, of the disk or of images below, that clients may look at; each is held until the server closes. */
  readonly bitmaps?: readonly string[];
  /** Whether clients may ask which layer of the chain holds what. Default false. */
  readonly allocationDepth?: boolean;
  /** Each write is on stable storage when it has been answered, asked for or not. Default false. */
  readonly writeThrough?: boolean;
  /** Writes of nothing but zeros become zeros without data; with "unmap" their space is given back. Default "off". */
  readonly detectZeroes?: "off" | "on" | "unmap";
  /** Whether clients are told that they may come with several connections. Default true. */
  readonly multiConnection?: boolean;
  /** Bytes; requests must be whole multiples of it. Power of two up to 65536 that divides the disk's size; default 1. */
  readonly minimumBlockSize?: number;
}

/** An export whose disk is open. */
export interface OpenExport {
  readonly name: string;
  readonly node: BlockNode;
  readonly size: number;
  readonly writable: boolean;
  readonly writeThrough: boolean;
  readonly detectZeroes: "off" | "on" | "unmap";
  readonly multiConnection: boolean;
  readonly contexts: readonly ServedContext[];
  readonly blockSizes: BlockSizes;
}

const LARGEST_MINIMUM = 64 * 1024;

/** Opens its disk when it is first asked for. */
export class ServedExport implements AsyncDisposable {
  readonly name: string;
  readonly description: string;
  readonly #options: NbdExport;
  readonly #holds: Disposable[] = [];
  #node: BlockNode | undefined;
  #opening: Promise<OpenExport> | undefined;

  /** Throws INVALID_OPTION for a name that is too long. */
  constructor(options: NbdExport) {
    const { name, description = "" } = options;
    if (Buffer.byteLength(name) > MAX_STRING_LENGTH || name.includes("\0"))
      throw new BlockError("INVALID_OPTION", `an export's name has at most ${MAX_STRING_LENGTH} bytes and no zero byte`);
    this.name = name;
    this.description = description;
    this.#options = options;
  }

  /** Throws INVALID_OPTION where disk and options do not fit, and what opening the disk throws. A failed attempt is made anew. */
  async open(): Promise<OpenExport> {
    this.#opening ??= this.#open();
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /** Lets the bitmaps go, and the disk: a node that was passed in stays open as long as its other holders want. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opening?.catch(() => {});
    for (const hold of this.#holds.splice(0)) hold[Symbol.dispose]();
    const node = this.#node;
    this.#node = undefined;
    await node?.[Symbol.asyncDispose]();
  }

  async #open(): Promise<OpenExport> {
    const { node: given, writable = false, bitmaps = [], allocationDepth = false, minimumBlockSize = 1 } = this.#options;
    const { writeThrough = false, detectZeroes = "off", multiConnection = true } = this.#options;
    const node = (this.#node ??= typeof given === "function" ? await given() : given.retain());
    const { name } = this;
    if (writable && node.readOnly)
      throw new BlockError("INVALID_OPTION", `export '${name}' is writable, and its disk was opened read-only`);
    if (!isPowerOfTwo(minimumBlockSize) || minimumBlockSize > LARGEST_MINIMUM || node.size % minimumBlockSize !== 0)
      throw new BlockError(
        "INVALID_OPTION",
        `export '${name}': ${minimumBlockSize} is no power of two up to ${LARGEST_MINIMUM} that divides ${node.size} bytes`,
      );
    const contexts = [allocationContext(node)];
    if (allocationDepth) contexts.push(depthContext(node));
    for (const bitmapName of bitmaps) {
      const bitmap = await findServedBitmap(node, bitmapName);
      this.#holds.push(bitmap.hold());
      contexts.push(bitmapContext(bitmap));
    }
    const blockSizes = { minimum: minimumBlockSize, preferred: Math.max(4096, minimumBlockSize), maximum: MAX_PAYLOAD_LENGTH };
    return { name, node, size: node.size, writable, writeThrough, detectZeroes, multiConnection, contexts, blockSizes };
  }
}

/**
 * The transmission flags. All clients of a server go to one node, whose flush covers what completed before on any connection: that is
 * what MULTI_CONN promises.
 */
export function exportFlags({ writable, multiConnection: several }: OpenExport, style: ReplyStyle): number {
  const { hasFlags, flush, forceUnitAccess, cache, multiConnection } = EXPORT_FLAG;
  let flags = hasFlags + flush + forceUnitAccess + cache + (several ? multiConnection : 0);
  flags += writable ? EXPORT_FLAG.trim + EXPORT_FLAG.writeZeroes + EXPORT_FLAG.fastZero : EXPORT_FLAG.readOnly;
  if (style !== "simple") flags += EXPORT_FLAG.dontFragment;
  if (style === "extended") flags += EXPORT_FLAG.blockStatusPayload;
  return flags;
}
