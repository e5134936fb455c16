/** A message of ours, and what qemu-img says in its place. */

/** Found parts stand as `$1`, or are given to the function behind the whole. */
export type Wording = readonly [ours: RegExp, theirs: string | ((...found: string[]) => string)];
