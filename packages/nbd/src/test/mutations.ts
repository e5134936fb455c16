/** Damage to a stream of bytes, by seed. */

/** Numbers from 0 to below `limit`, the same for the same seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  }

  roll(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state % limit;
  }
}

/** `bytes` with one to three changes: bits, numbers at their limits, pieces that are cut out, doubled or made up. */
export function damage(bytes: Buffer, dice: Dice): Buffer {
  let damaged = Buffer.from(bytes);
  for (let count = 1 + dice.roll(3); count > 0 && damaged.length > 0; count--) {
    const at = dice.roll(damaged.length);
    const rest = damaged.length - at;
    const length = 1 + dice.roll(Math.min(rest, 40));
    switch (dice.roll(6)) {
      case 0:
        damaged.writeUInt8((damaged.readUInt8(at) ^ (1 << dice.roll(8))) & 0xff, at);
        break;
      case 1:
        damaged.fill(dice.roll(2) * 0xff, at, at + Math.min(rest, 1 + dice.roll(8)));
        break;
      case 2:
        damaged = Buffer.concat([damaged.subarray(0, at), damaged.subarray(at + length)]);
        break;
      case 3:
        damaged = Buffer.concat([damaged.subarray(0, at + length), damaged.subarray(at)]);
        break;
      case 4:
        damaged = Buffer.concat([damaged.subarray(0, at), Buffer.from(Array.from({ length }, () => dice.roll(256))), damaged.subarray(at)]);
        break;
      default:
        damaged = damaged.subarray(0, at);
    }
  }
  return damaged;
}

/** Cuts at random places, as networks do. */
export function pieces(bytes: Buffer, dice: Dice): Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + dice.roll(dice.roll(2) === 0 ? 20 : 2000);
    cut.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cut;
}
