/** The order in which things were used, kept in the things themselves: moving one to the end costs a few assignments. */

/** What an item brings along. The links belong to the list. */
export interface RecencyLinks<Item> {
  older: Item | undefined;
  newer: Item | undefined;
}

/** A doubly linked list from the least to the most recently used. An item is in one list at most. */
export class RecencyList<Item extends RecencyLinks<Item>> {
  #oldest: Item | undefined;
  #newest: Item | undefined;

  /** Where a walk starts that follows `newer`. */
  get oldest(): Item | undefined {
    return this.#oldest;
  }

  get newest(): Item | undefined {
    return this.#newest;
  }

  /** Adds an item that is in no list, as the newest. */
  add(item: Item): void {
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  /** Makes an item of this list the newest. */
  use(item: Item): void {
    if (item === this.#newest) return;
    this.remove(item);
    this.add(item);
  }

  /** Takes an item of this list out. */
  remove(item: Item): void {
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    item.older = undefined;
    item.newer = undefined;
  }
}
