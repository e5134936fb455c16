/** What happens in a `TestStorage`, as its log and its rules see it. */

export type StorageOperationKind = "read" | "write" | "write zeroes" | "discard" | "flush" | "resize";

/** `offset` and `length` are bytes; a flush has neither, a resize the new size as its offset. */
export interface StorageOperation {
  readonly kind: StorageOperationKind;
  /** The file name, with its prefix. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** A line of the log. `began` and `ended` count in one sequence, so that orders can be compared. */
export interface LoggedOperation extends StorageOperation {
  readonly began: number;
  /** `undefined` while it is in flight. */
  readonly ended: number | undefined;
  readonly failed: boolean;
}

/** Picks operations; absent: all. */
export type StorageMatch = (operation: StorageOperation) => boolean;
