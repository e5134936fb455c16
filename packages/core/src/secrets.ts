/** Passphrases and keys by their names: options and messages speak of the name alone. */

import { BlockError } from "./errors.ts";

/** By ID, as with QEMU's `secret` objects; a text stands for its UTF-8 bytes. */
export type Secrets = Readonly<Record<string, string | Uint8Array>>;

/** Shows nothing of itself to whoever prints it. */
export class SecretTable {
  readonly #secrets: ReadonlyMap<string, Uint8Array>;

  constructor(secrets: Secrets) {
    const bytes = (secret: string | Uint8Array): Uint8Array =>
      typeof secret === "string" ? new TextEncoder().encode(secret) : secret.slice();
    this.#secrets = new Map(Object.entries(secrets).map(([id, secret]) => [id, bytes(secret)]));
  }

  /** Throws NOT_FOUND. */
  get(id: string): Uint8Array {
    const secret = this.#secrets.get(id);
    if (secret === undefined) throw new BlockError("NOT_FOUND", `No secret with id '${id}'`);
    return secret;
  }
}
