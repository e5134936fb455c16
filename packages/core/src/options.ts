/** What may be opened: QEMU's `blockdev-add` options as typed objects, each driver's own by declaration merging. */

import type { BlockNode } from "./node.ts";

/** Each driver package adds its line: `declare module "@coblock/core" { interface DriverOptions { qed: QedOptions } }`. */
export interface DriverOptions {
  file: { readonly filename: string; readonly locking?: "auto" | "on" | "off" };
  memory: { readonly size?: number; readonly bytes?: Uint8Array };
  null: { readonly size?: number; readonly readZeroes?: boolean };
  raw: { readonly file: NodeOptions; readonly offset?: number; readonly size?: number };
}

/** Options that every node has. */
export interface CommonOptions {
  readonly nodeName?: string;
  /** Default false; children of a read-only node are read-only, backing files always. */
  readonly readOnly?: boolean;
  /** Whether discards reach this node's image, and whether it gives freed space back. Default "unmap". */
  readonly discard?: "ignore" | "unmap";
  /** `noFlush`: flushes stop at the host's page cache, for images that can be made again; a crash of the host may lose everything. Inherited. */
  readonly cache?: { readonly noFlush?: boolean };
  /** QEMU's; what is opened to be written must be writable here all the same. */
  readonly autoReadOnly?: boolean;
  /** Data that is written and turns out to be all zeros is written as zeros are; "unmap" gives its space back, too. Default "off". */
  readonly detectZeroes?: "off" | "on" | "unmap";
  /** Open without image locks, although another process may be writing. Read-only only. */
  readonly forceShare?: boolean;
}

/** A file name (probed, or `json:{…}`, or with a protocol prefix), an open node to share, or a driver with its options. */
export type NodeOptions = string | BlockNode | DescribedNode;
/** A driver with its options, and those that every node has. */
export type DescribedNode = {
  [Name in keyof DriverOptions]: { readonly driver: Name } & CommonOptions & DriverOptions[Name];
}[keyof DriverOptions];
