/** Standard output in large pieces, and what became of them. */

import { CommandFailure } from "./failure.ts";
import type { TextStream } from "./host.ts";

/** One system call a piece: `map` prints one line an extent, of which there may be millions. */
const PIECE_LENGTH = 64 * 1024;
/** What a shell shows for a program whose reader went away (SIGPIPE). */
const EXIT_BROKEN_PIPE = 141;

/** Streams may tell of a failed write long after it, also when nobody listens any more: then it was told already. */
const watched = new WeakSet<TextStream>();

export class Output {
  readonly #stream: TextStream;
  readonly #onFailure: (failure: CommandFailure) => void;
  /** As the tools of QEMU: nobody need read what is printed. */
  readonly #unread: boolean;
  #pending = "";
  #isUnread = false;
  #failure: CommandFailure | undefined;

  /**
   * `onFailure` is called once, with the failure to end with; afterwards what is printed is dropped. `unread`: a reader that goes away is no
   * failure.
   */
  constructor(stream: TextStream, onFailure: (failure: CommandFailure) => void, { unread = false }: { readonly unread?: boolean } = {}) {
    this.#unread = unread;
    this.#stream = stream;
    this.#onFailure = onFailure;
    if (!watched.has(stream)) stream.on?.("error", () => {});
    watched.add(stream);
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
    const text = this.#pending;
    this.#pending = "";
    if (text === "" || this.#failure !== undefined || this.#isUnread) return;
    try {
      this.#stream.write(text, (error) => this.#written(error));
    } catch (error) {
      this.#written(error);
    }
  }

  /** Everything was taken by the system; throws the failure if it was not. */
  async finish(): Promise<void> {
    this.flush();
    // Streams that have no events (those of tests) take everything at once.
    if (this.#stream.on !== undefined && this.#failure === undefined && !this.#isUnread)
      await new Promise<void>((resolve) => this.#stream.write("", () => resolve()));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #written(error: unknown): void {
    if (this.#failure !== undefined || error === undefined || error === null) return;
    const { code, message } = error as NodeJS.ErrnoException;
    if (this.#unread && code === "EPIPE") {
      this.#isUnread = true;
      return;
    }
    const told = code === "EPIPE" ? "" : `Could not write the output: ${message}`;
    this.#failure = new CommandFailure(told, code === "EPIPE" ? EXIT_BROKEN_PIPE : 1, { cause: error });
    this.#onFailure(this.#failure);
  }
}
