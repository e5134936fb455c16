/** Standard output in large pieces. */

import type { TextStream } from "./host.ts";

/** One system call a piece: `map` prints one line an extent, of which there may be millions. */
const PIECE_LENGTH = 64 * 1024;

export class Output {
  readonly #stream: TextStream;
  #pending = "";

  constructor(stream: TextStream) {
    this.#stream = stream;
  }

  /** Kept until there is enough, or until `flush`. */
  print(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= PIECE_LENGTH) this.flush();
  }

  line(text: string = ""): void {
    this.print(`${text}\n`);
  }

  flush(): void {
    if (this.#pending === "") return;
    const text = this.#pending;
    this.#pending = "";
    this.#stream.write(text);
  }
}
