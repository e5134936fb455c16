/** What went wrong elsewhere with qcow2, by the number that it has in this project, and what shows that it does not here. */

/** A test by the file that it is in and its title, or the name of one of its cases. */
interface TestPlace {
  readonly file: string;
  readonly titles: readonly string[];
}

export interface Hazard {
  readonly id: string;
  readonly what: string;
  readonly tests?: readonly TestPlace[];
  /** Lab mutations: the protection is there, and the lab finds it missing when it is taken out. */
  readonly mutations?: readonly string[];
}

const IMAGE = "packages/qcow2/src/image";
const FORMAT = "packages/qcow2/src/format";
const SNAPSHOTS = "packages/qcow2/src/snapshots";
const RETIRED = "packages/core/src/mapping/engine-retired.test.ts";
const RAW = "packages/core/src/drivers/raw/raw-driver.test.ts";
const HEADERS = "test/hazards/hazards.test.ts";
const QCOW2 = "test/hazards/qcow2.test.ts";

function at(file: string, ...titles: string[]): TestPlace {
  return { file, titles };
}

export const QCOW2_HAZARDS: readonly Hazard[] = [
  {
    id: "C1",
    what: "a guest writes a qcow2 header into a raw disk",
    tests: [
      at(HEADERS, "C1: a guest cannot turn a probed raw disk into another format"),
      at(RAW, "not in pieces either, one after the other or at once", "not by zeros that complete it, nor by a resize"),
    ],
  },
  {
    id: "C2",
    what: "a service that inspects an image opens its backing file",
    tests: [at(HEADERS, "C2: looking at an image opens no other file, and opening one asks")],
  },
  {
    id: "C3",
    what: "the data-file extension names a file of the host",
    tests: [at(QCOW2, "C3: a data file is asked for, by its whole name, and opened by nobody who only looks")],
  },
  {
    id: "C4",
    what: "a name in a header is a json: string, or a protocol",
    tests: [
      at(HEADERS, "C4: an image cannot name options or unknown protocols: %s"),
      at(QCOW2, "C4: a data file cannot be named by %s"),
      at("packages/core/src/graph/image-context.test.ts", "%j is refused"),
    ],
  },
  {
    id: "C6",
    what: "files are opened because the image says so, with nobody asked",
    tests: [at(QCOW2, "C6: who says nothing opens neither backing nor data files")],
  },
  {
    id: "C7",
    what: "chains that are loops or have no end",
    tests: [
      at(HEADERS, "C7: chains that are loops, or longer than 200, are refused with one line"),
      at("packages/core/src/graph/image-context.test.ts", "an image that is its own data file is refused"),
    ],
  },
  {
    id: "C8",
    what: "a tiny file says that it is huge",
    tests: [
      at(HEADERS, "C8 virtual size 2^62", "C8 an L1 table of 2^32 - 1 entries"),
      at("packages/qcow2/src/bitmaps/hostile.test.ts", "take no more memory than the file has bytes, however large the disk is said to be"),
      at(`${IMAGE}/read.test.ts`, "walks a sparse tebibyte by its L1 table"),
      at(
        "packages/qcow2/src/maintenance/check-memory.test.ts",
        "a disk with 4 million clusters is opened and checked in half the memory that its tables would take",
      ),
    ],
  },
  {
    id: "C9",
    what: "tables, names and extensions that are huge, misaligned or nowhere",
    tests: [
      at(HEADERS, "C9 header length past the cluster", "C9 refcount table at 2^63", "C9: an extension that is longer than the header"),
      at(`${FORMAT}/header.test.ts`, "refuses %s", "refuse one %s"),
      at(`${IMAGE}/hostile.test.ts`, "whatever the header says, it is opened or refused with a reason, at once"),
    ],
  },
  {
    id: "C10",
    what: "numbers overflow",
    tests: [
      at(HEADERS, "C10 refcount table of 2^32 - 1 clusters", "C10 2^32 - 1 snapshots"),
      at(`${FORMAT}/header.test.ts`, "refuses 2^53 and 2^63 at offset %i", "a refcount table at the end of numbers"),
      at(`${FORMAT}/refcounts.test.ts`, "counts no further than 2^53 - 1, whatever 64 bits hold"),
    ],
  },
  {
    id: "C12",
    what: "the L1 table of a snapshot is longer than the disk's",
    tests: [
      at(`${SNAPSHOTS}/hostile.test.ts`, "an L1 table of 2^32 - 1 entries", "an L1 table that is too short for its disk"),
      at(`${SNAPSHOTS}/snapshots.test.ts`, "gets its old size back, longer or shorter, also through a longer L1 table"),
    ],
  },
  {
    id: "C13",
    what: "opening fails half-way and uses what is not there yet, or leaves something open",
    tests: [
      at(QCOW2, "C13: an image %s leaves nothing open, whichever operation fails"),
      at(`${IMAGE}/cache-cleaner.test.ts`, "is not there after an open that failed"),
    ],
  },
  {
    id: "C14",
    what: "the refcount table grows while space is allocated from it",
    tests: [
      at(`${IMAGE}/write.test.ts`, "grows the refcount table while it allocates"),
      at(`${IMAGE}/faults.test.ts`, "the refcount table grows"),
    ],
    mutations: ["qcow2-growth-no-flush"],
  },
  {
    id: "C16",
    what: "metadata lies over metadata, and is written, freed or marked all the same",
    tests: [
      at(`${IMAGE}/hostile.test.ts`, "by data that is mapped over %s", "by new clusters, where the refcounts call %s free"),
      at(`${IMAGE}/hostile.test.ts`, "a refcount table with %s fails writes and leaves reads alone"),
      at(`${IMAGE}/overlap-checks.test.ts`, "'%s' as in QEMU", "can be turned on and off while the image is open"),
      at(QCOW2, "C16: an image that is read only is not marked, however damaged"),
    ],
  },
  {
    id: "C18",
    what: "snapshot tables with entries that are too old, too long or too many; a snapshot is deleted and something fails",
    tests: [
      at(QCOW2, "C18: %s is refused, and repaired so that QEMU finds nothing"),
      at("test/tools/qcow2-damages.ts", "snapshot-without-sizes"),
      at(`${SNAPSHOTS}/hostile.test.ts`, "is neither applied nor deleted, and the image stays as it is"),
    ],
    mutations: ["qcow2-snapshot-given-up-early", "qcow2-snapshot-switch-forgotten"],
  },
  {
    id: "C19",
    what: "a refcount has no room for one reference more",
    tests: [
      at(`${SNAPSHOTS}/snapshots.test.ts`, "refcounts without room are refused before anything is changed"),
      at(`${IMAGE}/write.test.ts`, "packs compressed clusters, and never counts a cluster above the width of refcounts"),
      at("packages/qcow2/src/amend/amend.test.ts", "a width that some refcount does not fit into"),
      at(`${FORMAT}/refcounts.test.ts`, "keeps the largest value in each place and leaves the neighbours alone"),
    ],
  },
  {
    id: "C20",
    what: "compressed clusters that are too short, too long, or followed by junk",
    tests: [
      at(
        `${IMAGE}/read.test.ts`,
        "junk behind the stream",
        "a window of 32 KiB",
        "a stream that goes on past the cluster",
        "one that ends early",
      ),
      at(`${IMAGE}/compression.test.ts`, "reads past the end of a frame and past the end of a unit no further than it must"),
    ],
  },
  {
    id: "C21",
    what: "a few bytes decompress to gigabytes, or ask for a window of that size",
    tests: [
      at(`${IMAGE}/read.test.ts`, "a stream that goes on past the cluster"),
      at(`${IMAGE}/compression.test.ts`, "that wants a window of 2 TiB", "that says it holds 2^60 bytes"),
    ],
  },
  {
    id: "C23",
    what: "LUKS headers with slots over one another, other stripes, no rounds or too many",
    tests: [
      at("packages/crypto/src/luks.test.ts", "with slots that overlap", "with other stripes", "with a slot of 0 rounds"),
      at("packages/crypto/src/luks.test.ts", "with a slot of too many rounds"),
      at("packages/qcow2/src/encryption/hostile.test.ts", "never lets data be written over its keys"),
    ],
  },
  { id: "C24", what: "secrets in messages", tests: [at(QCOW2, "C24: a passphrase is in no message, whatever goes wrong")] },
  {
    id: "C25",
    what: "disks of no bytes, of parts of sectors, or of more than there can be",
    tests: [
      at(HEADERS, "C25: a disk of no bytes opens and reads nothing", "C25 virtual size 2^63", "C25 more than the clusters can map"),
      at(QCOW2, "C25: a disk of %i bytes has the whole sectors that QEMU sees"),
    ],
  },
  {
    id: "B5",
    what: "a damaged refcount hands out the header, or a table that is in use",
    tests: [at(`${IMAGE}/hostile.test.ts`, "by new clusters, where the refcounts call %s free")],
    mutations: ["qcow2-header-handed-out"],
  },
  {
    id: "B6",
    what: "two copies of one table, of which the wrong one goes on being used",
    mutations: ["qcow2-table-twice", "qcow2-evicts-pinned"],
  },
  {
    id: "B7",
    what: "freed space is punched after it has a new owner",
    tests: [at(RETIRED, "the host's discard has ended before space is released")],
    mutations: ["qcow2-discard-not-awaited"],
  },
  {
    id: "B8",
    what: "a table moves, and the old one is given up before the new one is in force",
    tests: [
      at(
        `${IMAGE}/faults.test.ts`,
        "the L1 table grows over several refcount blocks",
        "tables and clusters are copied away from a snapshot",
      ),
    ],
    mutations: ["qcow2-lowered-too-early", "qcow2-switch-goes-on"],
  },
  {
    id: "B9",
    what: "references of compressed clusters go up and do not come down",
    tests: [
      at(`${IMAGE}/write.test.ts`, "random requests of seed %i leave what a model says, for us and for qemu-img, and no leak"),
      at(`${IMAGE}/shrink.test.ts`, "refcount blocks that count themselves alone go, and the space that they counted is used again"),
    ],
    mutations: ["qcow2-compressed-not-lowered", "qcow2-compressed-not-raised"],
  },
  {
    id: "B12",
    what: "damage that nobody thought of; flags and extensions that are lost when the header is written",
    tests: [
      at(QCOW2, "B12: what nobody here knows of a header outlives every rewrite, and so do lazy refcounts"),
      at("test/fuzz/qcow2.test.ts", "qcow2"),
      at("test/tools/repair-qcow2.test.ts", "seeds %i to %i: what is repaired is sound for QEMU, and reads as before"),
      at(`${IMAGE}/write.test.ts`, "clears unknown autoclear features, and nothing when it only reads"),
    ],
  },
  {
    id: "B13",
    what: "preallocation writes to the image file instead of the data file",
    tests: [at(QCOW2, "B13: preallocation %s takes its space in the data file, when made and when grown")],
  },
  {
    id: "B14",
    what: "a cluster is moved while it is written",
    tests: [at(`${IMAGE}/resize.test.ts`, "moves the last cluster where a snapshot shares it, and leaves the snapshot as it is")],
    mutations: ["qcow2-stale-mapping", "qcow2-no-wait-for-allocation", "qcow2-copied-ignored"],
  },
  {
    id: "B15",
    what: "layers of different lengths, ends in the middle of a cluster",
    tests: [
      at(QCOW2, "B15: a rebase of $overlay from $old to $fresh keeps what is seen"),
      at("test/tools/commit-rebase.test.ts", "qcow2 over longer qed", "three layers, the one between the shortest"),
    ],
  },
  {
    id: "B18",
    what: "discarded space is used again before the table that dropped it is on disk",
    tests: [at(RETIRED, "space that was freed is released when a flush has succeeded, not before")],
    mutations: ["qcow2-reuse-no-flush", "qcow2-reuse-no-epoch"],
  },
  {
    id: "B20",
    what: "tables reach the disk before what they point to",
    tests: [at(`${IMAGE}/power-cut.test.ts`, "seed %i: no cut corrupts metadata, and what was flushed is there")],
    mutations: ["qcow2-l2-before-refcounts", "qcow2-l2-before-data", "qcow2-l1-before-l2"],
  },
  {
    id: "B23",
    what: "an error in the middle of an allocation leaves pointers to what was never written",
    tests: [at(`${IMAGE}/faults.test.ts`, "never corrupts the image")],
    mutations: ["qcow2-links-unwritten"],
  },
  {
    id: "B24",
    what: "a reopen is half applied",
    tests: [at(`${IMAGE}/reopen.test.ts`, "fails where anything cannot be written, leaves everything as it was, and the cleaner goes on")],
    mutations: ["qcow2-cleaner-abort-forgets"],
  },
  {
    id: "B25",
    what: "a bitmap is believed that missed writes",
    tests: [
      at(
        "packages/qcow2/src/bitmaps/bitmaps.test.ts",
        "makes a bitmap inconsistent for the next who opens the image: it can only be removed",
      ),
      at(
        "packages/qcow2/src/bitmaps/bitmaps.test.ts",
        "are gone for QEMU and for us when a program without bitmaps has written; new ones can be made",
      ),
    ],
    mutations: ["qcow2-bitmap-marked-late", "qcow2-bitmap-not-marked"],
  },
  {
    id: "B26",
    what: "offsets are cut at 31, 32 or 53 bits",
    tests: [
      at(HEADERS, "B26: offsets around 2^31 and 2^32, %s"),
      at(`${FORMAT}/header.test.ts`, "refuses 2^53 and 2^63 at offset %i"),
      at(`${FORMAT}/tables.test.ts`, "are exact at %i"),
    ],
  },
  {
    id: "B27",
    what: "bits of an entry are masked away or taken for others",
    tests: [
      at(HEADERS, "B27: bit %i of an L2 entry is part of the offset, not ignored"),
      at(`${FORMAT}/entries.test.ts`, "bit %i of an entry alone", "is offset, or not"),
    ],
  },
  {
    id: "B30",
    what: "extensions are looked for at the wrong place",
    tests: [
      at(HEADERS, "B30: extensions of a version 2 image begin at byte 72"),
      at(
        `${FORMAT}/header.test.ts`,
        "start at 72 in version 2 and after the header in version 3, and end with the cluster or before the backing name",
      ),
    ],
  },
];
