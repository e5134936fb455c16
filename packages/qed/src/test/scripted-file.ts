/** A file in memory for tests: it keeps a log of what reaches it, and a script may fail or hold each operation. */

import type { BlockDriver, BlockImage, DriverEntry } from "@coblock/core";

export interface Operation {
  readonly kind: "read" | "write" | "flush";
  readonly offset: number;
  readonly length: number;
  /** Of a write: a copy. */
  readonly bytes?: Uint8Array;
}

/** Called before an operation is done: may throw, or answer what to wait for. */
export type Script = (operation: Operation) => void | Promise<void>;

export class ScriptedFile {
  /** What reads see. */
  content: Uint8Array;
  /** Operations that were done, in their order. */
  readonly log: Operation[] = [];
  script: Script = () => {};
  growable = true;

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.content = content.slice();
  }

  /** The driver `memory`, always of this one file. */
  get entry(): DriverEntry {
    const open = async (): Promise<BlockImage> => this.#image();
    const create = async (options: { readonly size: number }): Promise<void> => {
      this.content = new Uint8Array(options.size);
    };
    const driver = { name: "memory", kind: "protocol", optionNames: ["filename"], open, create } as unknown as BlockDriver;
    return { name: "memory", kind: "protocol", load: async () => driver };
  }

  writes(): Operation[] {
    return this.log.filter(({ kind }) => kind === "write");
  }

  #image(): BlockImage {
    const size = (): number => this.content.length;
    return {
      limits: { requestAlignment: 1 },
      growable: this.growable,
      get size() {
        return size();
      },
      read: (offset, into) =>
        this.#do({ kind: "read", offset, length: into.length }, () => into.set(this.content.subarray(offset, offset + into.length))),
      write: (offset, from) => {
        const bytes = from.slice();
        return this.#do({ kind: "write", offset, length: bytes.length, bytes }, () => this.#write(offset, bytes));
      },
      flush: () => this.#do({ kind: "flush", offset: 0, length: 0 }, () => {}),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  #do(operation: Operation, effect: () => void): void | Promise<void> {
    const done = (): void => {
      effect();
      this.log.push(operation);
    };
    const wait = this.script(operation);
    return wait === undefined ? done() : wait.then(done);
  }

  #write(offset: number, bytes: Uint8Array): void {
    this.content = written(this.content, offset, bytes);
  }
}

/** `content` with `bytes` at `offset`: changed in place, or longer. */
export function written(content: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array {
  const end = offset + bytes.length;
  const target = end <= content.length ? content : new Uint8Array(end);
  if (target !== content) target.set(content);
  target.set(bytes, offset);
  return target;
}
