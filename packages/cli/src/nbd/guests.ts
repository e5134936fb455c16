/** Who is connected: tells when the last client has left. */

import type { NbdServerEvent } from "@coblock/nbd";
import { wordsOf } from "../nbd-events.ts";
import type { Session } from "../session.ts";

export class Guests {
  /** Settles when a client that used the disk has left, and nobody is connected any more. */
  readonly gone: Promise<void>;
  readonly #told: Session | undefined;
  readonly #users: Set<string> = new Set();
  readonly #leave: () => void;
  #count = 0;

  /** `told`: where each event is printed. */
  constructor(told: Session | undefined) {
    this.#told = told;
    let leave = (): void => {};
    this.gone = new Promise((resolve) => (leave = resolve));
    this.#leave = leave;
  }

  readonly onEvent = (event: NbdServerEvent): void => {
    this.#told?.complain(wordsOf(event));
    if (event.kind === "connected") this.#count++;
    else if (event.kind === "chosen") this.#users.add(event.client);
    else if (event.kind !== "refused") {
      this.#count--;
      if (this.#users.delete(event.client) && this.#count === 0) this.#leave();
    }
  };
}
