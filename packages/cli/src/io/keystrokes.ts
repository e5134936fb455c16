/** What is typed at a terminal, key by key. */

import { Transform } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/**
 * Hands on each character by itself, however many came at once. Node 20's editor of lines puts all but the last character of what came at
 * once at the end of the line, wherever the cursor is: keys that were pressed fast, or pasted, would end up in the wrong place.
 */
export class Keystrokes extends Transform {
  readonly #terminal: NodeJS.ReadStream;
  readonly #decoder = new StringDecoder("utf8");

  constructor(terminal: NodeJS.ReadStream) {
    super({ objectMode: true });
    this.#terminal = terminal;
    terminal.pipe(this);
  }

  /** An editor of lines asks for keys as they are pressed. */
  setRawMode(raw: boolean): this {
    this.#terminal.setRawMode(raw);
    return this;
  }

  override _transform(typed: Buffer | string, _encoding: BufferEncoding, done: () => void): void {
    for (const character of this.#decoder.write(Buffer.from(typed))) this.push(character);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#terminal.unpipe(this);
    this.#terminal.pause();
    done(error);
  }
}
