/** How far to look ahead: readers that go through a file in order get more at a time. */

interface Stream {
  end: number;
  length: number;
}

/** Readers that are told apart; more than there are tables and data runs that a copy goes through at one time. */
const MAX_STREAMS = 8;

export class ReadAhead {
  readonly #maxLength: number;
  /** The one that was heard of last comes last. */
  readonly #streams: Stream[] = [];

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** Bytes to fetch beyond this read: as many as were read in order up to here, and none for a read that begins anew. */
  after(offset: number, length: number): number {
    const index = this.#streams.findIndex(({ end }) => end === offset);
    const [stream = { end: offset, length: 0 }] = index < 0 ? [] : this.#streams.splice(index, 1);
    if (this.#streams.length === MAX_STREAMS) this.#streams.shift();
    this.#streams.push(stream);
    const before = stream.length;
    stream.end = offset + length;
    stream.length += length;
    return before === 0 ? 0 : Math.min(this.#maxLength, stream.length);
  }
}
