/** Where Coblock says something else than qemu-img 7.2, and why. A case that no longer differs fails: the list can only shrink. */

export interface KnownDifference {
  /** The words of the case. */
  readonly words: string;
  readonly why: string;
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  { words: "info @unclean.qed", why: "an image that needs a check is told as not cleanly shut down; qemu-img knows that of qcow2 alone" },
  { words: "info --output=json @unclean.qed", why: "as above" },
  { words: "info /dev/null", why: "character devices are no images" },
  { words: "map /dev/null", why: "as above" },
  {
    words: "map --output=json @subclusters.qcow2",
    why: "space that is kept for subclusters without data is not told (present: false, but an offset)",
  },
  {
    words: "map @preallocated.qcow2",
    why: "qemu-img asks the host for holes below an image that it takes for preallocated; to us its clusters are data",
  },
  { words: "check -r leaks @wrong-entry.qed", why: "-r leaks repairs leaks alone; qemu-img repairs all of a QED image with it" },
  { words: "check -r leaks --output=json @wrong-entry.qed", why: "as above" },
];
