/** Steps that are all taken although some fail, as closing needs: the first failure is kept and thrown at the end. */

import type { MaybePromise } from "./driver.ts";

export class Failures {
  readonly #errors: unknown[] = [];

  get any(): boolean {
    return this.#errors.length > 0;
  }

  async attempt(step: () => MaybePromise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#errors.push(error);
    }
  }

  /** Throws the first failure, if there was one. */
  throwFirst(): void {
    if (this.any) throw this.#errors[0];
  }
}
