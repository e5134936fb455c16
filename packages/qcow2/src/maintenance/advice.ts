/** What each kind of finding means, what a repair does about it, and what could be lost: the words of `check --explain`. */

import type { Finding } from "@coblock/core";

/** Why a finding matters and what helps. */
type Advice = Pick<Finding, "meaning" | "repair" | "risk">;

const LEFT = "None: what the entry was cannot be known. It stays, and so does all space that it may have led to.";

export type AdviceKind =
  | "pastEnd"
  | "unaligned"
  | "reservedBits"
  | "unalignedReserved"
  | "compressedFlag"
  | "compressedPlace"
  | "subclusters"
  | "snapshotL1"
  | "snapshotEntry"
  | "snapshotsLost"
  | "snapshotExtra"
  | "bitmapsIgnored"
  | "bitmapInUse"
  | "bitmapEntry"
  | "refcountTable"
  | "overflow"
  | "tooFew"
  | "leak"
  | "copied"
  | "unchecked"
  | "kept"
  | "step";

/** By kind of finding. */
export const ADVICE: Readonly<Record<AdviceKind, Advice>> = {
  pastEnd: {
    meaning: "The metadata leads to a place behind the end of the file: the entry is damaged, or the file was cut.",
    repair: `${LEFT} If the file was cut, bring back its whole length.`,
    risk: "What lies there cannot be read; writes elsewhere are safe only where nothing else is damaged.",
  },
  unaligned: {
    meaning: "The entry leads into the middle of a cluster, where no table or data can begin.",
    repair: LEFT,
    risk: "The data behind it cannot be read.",
  },
  reservedBits: {
    meaning: "The entry has bits set that mean nothing: it was overwritten or damaged.",
    repair: LEFT,
    risk: "The data behind it cannot be read, and its other bits may be wrong too.",
  },
  unalignedReserved: {
    meaning: "The entry reads as zeros and keeps space in the middle of a cluster, where none can be.",
    repair: "-r all keeps the zeros and gives up the space; an entry in a table that something else uses too stays.",
    risk: "None: no byte that can be read depends on that space.",
  },
  compressedFlag: {
    meaning: "The entry is of a compressed cluster and of one that may be written in place, which excludes each other.",
    repair: "None: either bit may be the wrong one.",
    risk: "If the cluster was not compressed, reading it fails or shows wrong bytes.",
  },
  compressedPlace: {
    meaning: "The entry is of a compressed cluster where there can be none.",
    repair: LEFT,
    risk: "The data behind it cannot be read.",
  },
  subclusters: {
    meaning: "The entry says of parts of the cluster that they hold data and that they do not.",
    repair: "None: which is right cannot be known.",
    risk: "The parts in question cannot be read.",
  },
  snapshotL1: {
    meaning: "The L1 table of a snapshot cannot be where the snapshot says, or not be so long.",
    repair: "None: the snapshot stays, and so does all space that it may own.",
    risk: "The snapshot cannot be read; the disk itself can.",
  },
  snapshotEntry: {
    meaning: "The entry of a snapshot lacks the size of the disk, which version 3 asks for.",
    repair: "-r all writes the whole table anew, with the present size of the disk for snapshots that do not tell theirs.",
    risk: "If the disk was resized since, the snapshot shows the present size.",
  },
  snapshotsLost: {
    meaning: "The header counts more snapshots than an image may have, or than their table has room for.",
    repair: "-r all keeps those that come first, as many as may be, and drops the others from the table.",
    risk: "A snapshot that is dropped is gone: copy the image first, if any of them matters.",
  },
  snapshotExtra: {
    meaning: "The entry of a snapshot has more extra data than is accepted.",
    repair: "-r all keeps the part that is understood, and drops the rest.",
    risk: "Whoever wrote the extra data may miss it; the snapshot's disk is not concerned.",
  },
  bitmapsIgnored: {
    meaning: "Something wrote to the image that does not know bitmaps: they are outdated, and nobody counts their space any more.",
    repair: "-r leaks or -r all frees their space; remove the bitmaps.",
    risk: "They do not tell what has changed; the data is not concerned.",
  },
  bitmapInUse: {
    meaning: "The bitmap was not saved by its last user: it misses changes.",
    repair: "None: remove the bitmap. Its space stays counted.",
    risk: "The bitmap does not tell what has changed; the data is not concerned.",
  },
  bitmapEntry: {
    meaning: "A table of a persistent bitmap leads to no place of a cluster.",
    repair: "None: remove the bitmap.",
    risk: "The bitmap does not tell what has changed; the data is not concerned.",
  },
  refcountTable: {
    meaning: "The refcounts of a part of the file are not where the refcount table says.",
    repair: "-r all counts all references anew and writes new refcounts to free space, then switches to them.",
    risk: "Writing before the repair may hand out clusters that are in use.",
  },
  overflow: {
    meaning: "The cluster has more owners than refcounts of this width can count.",
    repair: "None in place: convert into an image with wider refcounts (refcount_bits).",
    risk: "When one owner gives the cluster up, the others may lose their data.",
  },
  tooFew: {
    meaning: "More owners use the cluster than its refcount says.",
    repair: "-r all raises the refcount; where it is zero, all refcounts are written anew.",
    risk: "Before the repair the cluster may be handed out a second time: then two places of the disk overwrite each other.",
  },
  leak: {
    meaning: "The cluster is counted as used more often than it is.",
    repair: "-r leaks or -r all lowers the refcount, unless a damaged entry may be what led to the cluster: then it is kept.",
    risk: "None for the data; the file is larger than it need be.",
  },
  copied: {
    meaning: "The entry says whether its cluster has one owner alone, and the refcount says otherwise.",
    repair: "-r all corrects the flag; -r leaks too, where nothing else is wrong.",
    risk: "Before the repair a cluster that is shared may be overwritten, or one that could be overwritten is copied.",
  },
  unchecked: {
    meaning: "This part of the metadata could not be checked.",
    repair: "Look at what is reported before it; -r all writes all refcounts anew.",
    risk: "Damage may have gone unseen.",
  },
  kept: {
    meaning: "A repair would have to change a table that something else claims too, or to free what a damaged entry may have led to.",
    repair: "It is left as it is: copy what can be read into a new image.",
    risk: "None beyond what is damaged already.",
  },
  step: {
    meaning: "A step of the repair.",
    repair: "This is the repair.",
    risk: "A power cut leaves leaked clusters at most; repairing again goes on from there.",
  },
};
