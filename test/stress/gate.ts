/** Lets many work side by side, and now and then one alone. */

export class Gate {
  #working = 0;
  #closed: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  /** Waits while somebody is alone. */
  async pass(work: () => Promise<void>): Promise<void> {
    while (this.#closed !== undefined) await this.#closed;
    this.#working++;
    try {
      await work();
    } finally {
      this.#working--;
      if (this.#working === 0) this.#idle?.();
    }
  }

  /** Waits until nobody works; nobody begins before it ends. One at a time. */
  async alone(work: () => Promise<void>): Promise<void> {
    let open = (): void => {};
    this.#closed = new Promise((resolve) => (open = resolve));
    try {
      if (this.#working > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
      await work();
    } finally {
      this.#idle = undefined;
      this.#closed = undefined;
      open();
    }
  }
}
