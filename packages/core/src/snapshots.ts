/** Snapshots that an image keeps inside itself: what a format does for them, and how its users reach it. */

import { BlockError } from "./errors.ts";

/** An internal snapshot; `vmStateSize` in bytes. */
export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  readonly vmStateSize: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: bigint;
  readonly icount?: bigint;
}

/** What a new snapshot tells of the machine whose disk it freezes; the state itself was written to the node's `vmState` before. */
export interface MachineState {
  /** Bytes of the state; 0, the default: there is none. */
  readonly vmStateSize?: number;
  /** How long the machine had run. Default 0. */
  readonly vmClockNanoseconds?: bigint;
  /** Instructions that it had executed. Default 0. */
  readonly icount?: bigint;
}

/** Which snapshot: its ID, or else its name; or the first that fits all that is given. */
export type SnapshotSelector = string | { readonly id?: string; readonly name?: string };

/**
 * Part of an image whose format has snapshots. All but `list` are called in exclusive mode, with all metadata written out and the image
 * prepared for writing; each is on stable storage when it is done. A snapshot that is not there: NOT_FOUND. A failure before the
 * change is on disk leaves everything as it was, but for leaked space; where it is not known what is on disk, the image calls `fail`.
 */
export interface ImageSnapshots {
  list(): readonly SnapshotInfo[];
  /** Freezes the disk as it is now, and the state of the machine with it. Throws OUT_OF_RANGE for more state than the format has room for. */
  create(name: string, machine: MachineState): Promise<SnapshotInfo>;
  /** Makes the disk, with its size, what it was. */
  apply(selector: SnapshotSelector): Promise<void>;
  delete(selector: SnapshotSelector): Promise<SnapshotInfo>;
}

/** The snapshot that `selector` means: by ID first where it is a text, as QEMU does. */
export function findSnapshot<Item extends Pick<SnapshotInfo, "id" | "name">>(
  snapshots: readonly Item[],
  selector: SnapshotSelector,
): Item | undefined {
  if (typeof selector === "string") return snapshots.find(({ id }) => id === selector) ?? snapshots.find(({ name }) => name === selector);
  const { id, name } = selector;
  if (id === undefined && name === undefined) return undefined;
  return snapshots.find((each) => (id === undefined || each.id === id) && (name === undefined || each.name === name));
}

/** What the snapshots of a node need of it. */
export interface NodeSnapshotsParts {
  readonly fileName: string;
  readonly driver: string;
  readonly nodeName: string;
  readonly readOnly: boolean;
  readonly snapshots: ImageSnapshots | undefined;
  /** Whether dirty bitmaps follow the disk: they cannot follow it back. */
  readonly hasBitmaps: () => boolean;
  exclusive<T>(section: () => Promise<T>): Promise<T>;
}

/**
 * The snapshots inside a node's image. Every change waits until no request is in flight, and requests wait for it. Rejects with
 * UNSUPPORTED_FEATURE where the driver has no snapshots, READ_ONLY, NOT_FOUND.
 */
export class NodeSnapshots {
  readonly #parts: NodeSnapshotsParts;

  constructor(parts: NodeSnapshotsParts) {
    this.#parts = parts;
  }

  /** In the order in which they were made; none where the driver has no snapshots. */
  list(): readonly SnapshotInfo[] {
    return this.#parts.snapshots?.list() ?? [];
  }

  /** Freezes the disk as it is now, and the state of the machine with it. Names need not differ; the ID that it gets does. Throws INVALID_OPTION. */
  async create(name: string, machine: MachineState = {}): Promise<SnapshotInfo> {
    this.#checkMachine(machine);
    return this.#change((snapshots) => snapshots.create(name, machine));
  }

  /** Makes the disk, with its size, what it was when the snapshot was made. Throws NOT_ALLOWED for a node with dirty bitmaps. */
  async apply(selector: SnapshotSelector): Promise<void> {
    return this.#change((snapshots) => {
      if (this.#parts.hasBitmaps()) throw new BlockError("NOT_ALLOWED", "Device has active dirty bitmaps", { node: this.#parts.nodeName });
      return snapshots.apply(selector);
    });
  }

  /** Answers what is gone. */
  async delete(selector: SnapshotSelector): Promise<SnapshotInfo> {
    return this.#change((snapshots) => snapshots.delete(selector));
  }

  #checkMachine({ vmStateSize = 0, vmClockNanoseconds = 0n, icount = 0n }: MachineState): void {
    const { fileName, nodeName } = this.#parts;
    const refuse = (value: number | bigint, what: string): never => {
      throw new BlockError("INVALID_OPTION", `${fileName}: ${value} is no ${what}`, { node: nodeName });
    };
    if (!Number.isSafeInteger(vmStateSize) || vmStateSize < 0) refuse(vmStateSize, "size of the state of a machine");
    if (BigInt.asUintN(64, vmClockNanoseconds) !== vmClockNanoseconds) refuse(vmClockNanoseconds, "time on the clock of a machine");
    if (BigInt.asUintN(63, icount) !== icount) refuse(icount, "number of instructions");
  }

  #change<T>(change: (snapshots: ImageSnapshots) => Promise<T>): Promise<T> {
    const { fileName, driver, nodeName, readOnly, snapshots, exclusive } = this.#parts;
    if (snapshots === undefined)
      throw new BlockError("UNSUPPORTED_FEATURE", `${fileName}: driver '${driver}' has no snapshots`, { node: nodeName });
    if (readOnly) throw new BlockError("READ_ONLY", `${fileName} was opened read-only`, { node: nodeName });
    return exclusive(() => change(snapshots));
  }
}
