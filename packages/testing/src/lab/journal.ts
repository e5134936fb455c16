/** What happened in a run, as lines for a reader: who did what to which offset, and who held which lock. */

/** Lines are made only where somebody wants them; a run for its result alone keeps none. */
export class Journal {
  readonly #lines: string[] | undefined;
  readonly #locks: () => readonly string[];
  #steps = 0;
  #lastLocks = "";

  /** `locks`: who holds and who waits now. */
  constructor(options: { readonly keep: boolean; readonly locks?: () => readonly string[] }) {
    this.#lines = options.keep ? [] : undefined;
    this.#locks = options.locks ?? ((): readonly string[] => []);
  }

  get kept(): boolean {
    return this.#lines !== undefined;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** An action was chosen. */
  step(describe: () => string): void {
    if (this.#lines === undefined) return;
    this.#noteLocks();
    this.#lines.push(`${String(++this.#steps).padStart(4)}  ${describe()}`);
  }

  /** Something that follows from the last action. */
  note(describe: () => string): void {
    this.#lines?.push(`        ${describe()}`);
  }

  /** What the locks are like, where they changed since the last step. */
  #noteLocks(): void {
    const locks = this.#locks();
    const text = locks.join("; ");
    if (text === this.#lastLocks) return;
    this.#lastLocks = text;
    this.#lines?.push(`        locks: ${text === "" ? "all free" : text}`);
  }
}
