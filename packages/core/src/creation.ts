/** What drivers are told that make new images, foretell their size, or change how they were made. */

import type { BlockChild } from "./child.ts";
import type { Clock } from "./coroutine/clock.ts";
import type { WaitOptions } from "./coroutine/held.ts";
import type { Offload } from "./coroutine/offload.ts";
import type { Entropy } from "./host/entropy.ts";

/** One option of `create`, in qemu-img's spelling (`cluster_size`). */
export interface CreateOption {
  readonly name: string;
  /** `size` takes suffixes (64k) and gives bytes; `flag` takes on/off; `choice` one of `choices`. */
  readonly type: "size" | "number" | "flag" | "text" | "choice";
  readonly choices?: readonly string[];
  readonly help: string;
  readonly defaultValue?: CreateValue;
}
/** Value of a `CreateOption`: bytes and numbers, flags, texts and choices. */
export type CreateValue = string | number | boolean;

/** What a new image shall be. */
export interface ImageCreation {
  readonly filename: string;
  /** Virtual size in bytes. */
  readonly size: number;
  /** Values by `CreateOption.name`; those not given and without a default are absent. */
  readonly values: Readonly<Record<string, CreateValue>>;
  /** As written into the image; existence was checked and the size taken from it by the caller. */
  readonly backing?: { readonly filename: string; readonly format: string | undefined };
}

export interface CreateContext extends WaitOptions {
  readonly clock: Clock;
  readonly offload: Offload;
  readonly entropy: Entropy;
  /** As `OpenContext.secret`. */
  secret(id: string): Uint8Array;
  /** Tells what was asked for and could not be done, where the image is good without it. */
  warn(message: string): void;
  /** Makes or truncates a file of `size` bytes with the protocol that the name asks for; closed by core after `create`. */
  createFile(name: string, size: number): Promise<BlockChild>;
}

/** What `measure` is asked about. */
export interface MeasuredContent {
  /** Virtual size in bytes. */
  readonly size: number;
  readonly values: Readonly<Record<string, CreateValue>>;
  /** What has to be stored; absent: nothing is allocated. */
  readonly extents?: AsyncIterable<{
    readonly offset: number;
    readonly length: number;
    readonly kind: "data" | "zero" | "unallocated" | "compressed";
  }>;
  readonly hasBacking?: boolean;
}
/** Bytes of image file: for the content as it is, and with every cluster allocated. */
export interface Measurement {
  readonly required: number;
  readonly fullyAllocated: number;
}

/** How an image is amended. */
export interface AmendOptions {
  /** Called at each step of the work; the first call tells how much there is. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work at the next step; what was changed until then stays. */
  readonly signal?: AbortSignal | undefined;
  /** Also what may make the disk unreadable for good: erasing or overwriting the last key of an encrypted image. */
  readonly force?: boolean;
}
