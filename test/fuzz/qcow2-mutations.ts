/** Damage to qcow2 images, by someone who knows the format: the values that make careless readers allocate, loop, wrap or lose. */

import type { SeededRandom } from "@coblock/testing";
import type { Mutation } from "./fuzz-case.ts";
import type { Qcow2Base } from "./qcow2-bases.ts";

type Maker = (base: Qcow2Base, random: SeededRandom) => Mutation;

const POWERS = [
  2n ** 31n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 53n + 4096n,
  2n ** 55n,
  2n ** 56n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 512n,
  2n ** 64n - 1n,
];
/** The fields of the header, with values beside the rules and on them. */
const FIELDS: readonly { readonly name: string; readonly at: number; readonly length: 4 | 8; readonly values: readonly bigint[] }[] = [
  { name: "version", at: 4, length: 4, values: [0n, 1n, 2n, 3n, 4n, 2n ** 31n] },
  { name: "backing_file_offset", at: 8, length: 8, values: [0n, 1n, 72n, 104n, 112n, 500n, 512n, 4096n, 4097n, ...POWERS] },
  { name: "backing_file_size", at: 16, length: 4, values: [0n, 1n, 11n, 400n, 1023n, 1024n, 2n ** 32n - 1n] },
  { name: "cluster_bits", at: 20, length: 4, values: [0n, 8n, 9n, 10n, 12n, 13n, 14n, 16n, 21n, 22n, 31n, 32n, 63n, 64n, 2n ** 32n - 1n] },
  { name: "size", at: 24, length: 8, values: [0n, 1n, 511n, 512n, 513n, 65536n, 2n ** 22n, 2n ** 24n, 2n ** 30n, ...POWERS] },
  { name: "crypt_method", at: 32, length: 4, values: [1n, 2n, 3n, 2n ** 31n] },
  { name: "l1_size", at: 36, length: 4, values: [0n, 1n, 2n, 3n, 64n, 4096n, 2n ** 22n, 2n ** 22n + 1n, 2n ** 29n, 2n ** 32n - 1n] },
  { name: "l1_table_offset", at: 40, length: 8, values: [0n, 1n, 512n, 4096n, 16384n, 2n ** 20n, ...POWERS] },
  { name: "refcount_table_offset", at: 48, length: 8, values: [0n, 1n, 512n, 4096n, 16384n, 2n ** 20n, ...POWERS] },
  { name: "refcount_table_clusters", at: 56, length: 4, values: [0n, 1n, 2n, 16n, 2048n, 16384n, 16385n, 2n ** 32n - 1n] },
  { name: "nb_snapshots", at: 60, length: 4, values: [0n, 1n, 2n, 100n, 65536n, 65537n, 2n ** 32n - 1n] },
  { name: "snapshots_offset", at: 64, length: 8, values: [0n, 1n, 512n, 4096n, 16384n, ...POWERS] },
  { name: "incompatible_features", at: 72, length: 8, values: [0n, 1n, 2n, 3n, 4n, 8n, 16n, 17n, 32n, 64n, 2n ** 63n] },
  { name: "compatible_features", at: 80, length: 8, values: [0n, 1n, 2n, 2n ** 63n, 2n ** 64n - 1n] },
  { name: "autoclear_features", at: 88, length: 8, values: [0n, 1n, 2n, 3n, 4n, 2n ** 63n] },
  { name: "refcount_order", at: 96, length: 4, values: [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 31n, 64n, 2n ** 32n - 1n] },
  { name: "header_length", at: 100, length: 4, values: [0n, 72n, 96n, 104n, 105n, 112n, 120n, 512n, 4096n, 4104n, 2n ** 32n - 8n] },
  { name: "compression_type", at: 104, length: 4, values: [0n, 2n ** 24n, 2n ** 25n, 255n * 2n ** 24n] },
];

function hexOf(value: bigint, length: 4 | 8): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(length * 8, value));
  return bytes.subarray(8 - length).toString("hex");
}

const COPIED = 2n ** 63n;
const COMPRESSED = 2n ** 62n;

/** Where an entry may lead: nowhere, into metadata, past the end, or where another leads already. */
function target(base: Qcow2Base, random: SeededRandom): { readonly about: string; readonly value: bigint } {
  const { clusterSize, bytes } = base;
  const clusters = Math.ceil(bytes.size / clusterSize);
  const of = (about: string, value: number | bigint): { about: string; value: bigint } => ({ about, value: BigInt(value) });
  const power = random.pick(POWERS);
  const any = random.below(clusters) * clusterSize;
  return random.pick([
    of("0", 0),
    of("the header", clusterSize / 2),
    of("the L1 table", base.l1.offset),
    of("an L2 table", random.pick(base.l2)),
    of("the refcount table", base.refcountTable),
    of("a refcount block", random.pick(base.refcountBlocks)),
    of("some cluster", any),
    of("unaligned", any + random.pick([1, 8, 256, 512])),
    of("the end", clusters * clusterSize),
    of("past the end", (clusters + random.between(1, 9)) * clusterSize),
    of(`0x${power.toString(16)}`, power),
    of("some cluster, 2^32 further", any + 2 ** 32),
  ]);
}

/** With the flags that entries have, or should not have. */
function entry(base: Qcow2Base, random: SeededRandom): { readonly about: string; readonly value: bigint } {
  const { about, value } = target(base, random);
  const [flags, said] = random.pick([
    [0n, ""],
    [COPIED, ", COPIED"],
    [COPIED, ", COPIED"],
    [1n, ", zero"],
    [COPIED + 1n, ", COPIED and zero"],
    [COMPRESSED, ", compressed"],
    [COMPRESSED + 3n * 2n ** 58n, ", compressed, long"],
    [2n ** 57n, ", with a reserved bit"],
    [2n, ", with a reserved bit"],
  ] as const);
  return { about: about + said, value: BigInt.asUintN(64, value | flags) };
}

const field: Maker = (_base, random) => {
  const { name, at, length, values } = random.pick(FIELDS);
  const value = random.chance(0.9) ? random.pick(values) : Buffer.from(random.bytes(8)).readBigUInt64BE();
  return { about: `${name} = ${value}`, at, hex: hexOf(value, length) };
};

const l1Entry: Maker = (base, random) => {
  const index = random.below(base.l1.entries);
  const { about, value } = entry(base, random);
  return { about: `L1 entry ${index}: ${about}`, at: base.l1.offset + index * 8, hex: hexOf(value, 8) };
};

const l2Entry: Maker = (base, random) => {
  const at = random.pick(base.l2) + random.below(random.chance(0.7) ? 32 : base.clusterSize / 8) * 8;
  const { about, value } = random.chance(0.85)
    ? entry(base, random)
    : { about: "noise", value: Buffer.from(random.bytes(8)).readBigUInt64BE() };
  return { about: `the L2 entry at ${at}: ${about}`, at, hex: hexOf(value, 8) };
};

const refcountTableEntry: Maker = (base, random) => {
  const index = random.below(random.chance(0.7) ? base.refcountBlocks.length : base.clusterSize / 8);
  const { about, value } = target(base, random);
  return { about: `refcount table entry ${index}: ${about}`, at: base.refcountTable + index * 8, hex: hexOf(value, 8) };
};

const refcounts: Maker = (base, random) => ({
  about: "other refcounts",
  at: random.pick(base.refcountBlocks) + random.below(random.chance(0.7) ? 64 : base.clusterSize),
  hex: Buffer.from(random.pick([random.bytes(random.between(1, 8)), new Uint8Array(8), new Uint8Array(8).fill(255)])).toString("hex"),
});

const snapshotTable: Maker = (base, random) => ({
  about: "noise in the snapshot table",
  at: base.snapshots + random.below(100),
  hex: Buffer.from(random.bytes(random.between(1, 8))).toString("hex"),
});

const extensions: Maker = (_base, random) => ({
  about: "noise in the header extensions",
  at: random.pick([72, 104, 112, 120, 128]) + random.below(48),
  hex: Buffer.from(
    random.pick([random.bytes(random.between(1, 8)), Buffer.from("e2792aca", "hex"), Buffer.from("23852875", "hex")]),
  ).toString("hex"),
});

const compressedData: Maker = (base, random) => ({
  about: "noise anywhere",
  at: random.below(base.bytes.size),
  hex: Buffer.from(random.bytes(random.between(1, 16))).toString("hex"),
});

const truncation: Maker = (base, random) => {
  const end = base.bytes.size;
  const size = random.pick([
    random.below(end + 1),
    random.below(130),
    random.below(end / base.clusterSize) * base.clusterSize,
    end - random.between(1, 600),
  ]);
  return { about: "cut off", size };
};

const extension: Maker = (base, random) => {
  const sizes = [random.between(1, 3 * base.clusterSize), random.between(1, 3) * base.clusterSize, 2 ** 26, 2 ** 30 + 5];
  return { about: "made longer", size: base.bytes.size + random.pick(sizes) };
};

/** Fields of the LUKS header: rounds are few, or more than anybody takes. */
const LUKS_FIELDS: readonly { readonly name: string; readonly at: number; readonly values: readonly bigint[] }[] = [
  { name: "magic", at: 0, values: [0n, 0x4c554b53n + 1n] },
  { name: "version", at: 4, values: [0xbabe0000n, 0xbabe0001n, 0xbabe0002n] },
  { name: "cipher name", at: 8, values: [0n, 0x61657300n, 2n ** 32n - 1n] },
  { name: "cipher mode", at: 40, values: [0n, 0x78747300n, 2n ** 32n - 1n] },
  { name: "hash", at: 72, values: [0n, 0x6d643500n, 2n ** 32n - 1n] },
  { name: "payload offset", at: 104, values: [0n, 1n, 8n, 1000n, 4096n, 2n ** 31n, 2n ** 32n - 1n] },
  { name: "key length", at: 108, values: [0n, 1n, 15n, 24n, 32n, 64n, 65n, 2n ** 31n, 2n ** 32n - 1n] },
  { name: "digest", at: 112, values: [0n, 2n ** 32n - 1n] },
  { name: "digest rounds", at: 164, values: [0n, 1n, 999n, 2n ** 29n + 1n, 2n ** 32n - 1n] },
];
const LUKS_SLOT_FIELDS: typeof LUKS_FIELDS = [
  { name: "state", at: 0, values: [0n, 0xdeadn, 0x00ac71f3n, 2n ** 32n - 1n] },
  { name: "rounds", at: 4, values: [0n, 1n, 999n, 2n ** 29n + 1n, 2n ** 32n - 1n] },
  { name: "salt", at: 8, values: [0n] },
  { name: "material", at: 40, values: [0n, 1n, 7n, 8n, 9n, 136n, 2n ** 31n, 2n ** 32n - 1n] },
  { name: "stripes", at: 44, values: [0n, 1n, 3999n, 4001n, 2n ** 32n - 1n] },
];

/** In images without such a header, a field of theirs. */
const luksHeader: Maker = (base, random) => {
  if (base.luks === undefined) return field(base, random);
  const slot = random.chance(0.6) ? random.pick([0, 0, 0, 1, 7]) : undefined;
  const { name, at, values } = random.pick(slot === undefined ? LUKS_FIELDS : LUKS_SLOT_FIELDS);
  const value = random.pick(values);
  const start = slot === undefined ? 0 : 208 + slot * 48;
  const whose = slot === undefined ? "" : ` of key slot ${slot}`;
  return { about: `LUKS ${name}${whose} = ${value}`, at: base.luks + start + at, hex: hexOf(value, 4) };
};

/** What can be damaged, and how often it is beside the others. */
const WEIGHTS: readonly (readonly [Maker, number])[] = [
  [field, 2],
  [luksHeader, 1],
  [l1Entry, 2],
  [l2Entry, 4],
  [refcountTableEntry, 1],
  [refcounts, 2],
  [snapshotTable, 1],
  [extensions, 1],
  [compressedData, 1],
  [truncation, 1],
  [extension, 1],
];
const MAKERS = WEIGHTS.flatMap(([maker, weight]) => Array.from({ length: weight }, () => maker));

/** One to five changes. */
export function qcow2Mutations(base: Qcow2Base, random: SeededRandom): Mutation[] {
  return Array.from({ length: 1 + Math.min(random.below(5), random.below(5)) }, () => random.pick(MAKERS)(base, random));
}
