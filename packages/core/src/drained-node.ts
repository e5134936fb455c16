/** A node while it is drained. */

/** The drainer's own way in while everyone else waits; disposing lets the others go on. */
export interface DrainedNode extends AsyncDisposable {
  read(offset: number, into: Uint8Array): Promise<void>;
  write(offset: number, from: Uint8Array): Promise<void>;
  flush(): Promise<void>;
}
