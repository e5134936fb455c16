/** Damage to QED images, by someone who knows the format: the values that make careless readers allocate, loop, wrap or lose. */

import type { SeededRandom } from "@coblock/testing";
import type { Mutation } from "./fuzz-case.ts";
import { CLUSTER, type QedBase } from "./qed-bases.ts";

type Maker = (base: QedBase, random: SeededRandom) => Mutation;

const POWERS = [2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 53n, 2n ** 53n + 4096n, 2n ** 63n, 2n ** 64n - 4096n, 2n ** 64n - 1n];
/** The fields of the header, with values beside the rules and on them. */
const FIELDS: readonly { readonly name: string; readonly at: number; readonly length: 4 | 8; readonly values: readonly bigint[] }[] = [
  { name: "magic", at: 0, length: 4, values: [0n, 0x00444551n, 0x01444551n] },
  {
    name: "cluster_size",
    at: 4,
    length: 4,
    values: [0n, 1n, 512n, 2048n, 4095n, 4097n, 8192n, 65536n, 2n ** 21n, 2n ** 26n, 2n ** 27n, 2n ** 31n],
  },
  { name: "table_size", at: 8, length: 4, values: [0n, 1n, 2n, 3n, 4n, 16n, 17n, 32n, 2n ** 31n] },
  { name: "header_size", at: 12, length: 4, values: [0n, 1n, 2n, 3n, 2n ** 19n, 2n ** 20n, 2n ** 20n - 1n, 2n ** 32n - 1n] },
  { name: "features", at: 16, length: 8, values: [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 2n ** 32n, 2n ** 63n] },
  { name: "compat_features", at: 24, length: 8, values: [1n, 2n ** 63n, 2n ** 64n - 1n] },
  { name: "autoclear_features", at: 32, length: 8, values: [1n, 2n ** 63n, 2n ** 64n - 1n] },
  { name: "l1_table_offset", at: 40, length: 8, values: [0n, 1n, 64n, 4096n, 8192n, 12288n, 4097n, ...POWERS] },
  {
    name: "image_size",
    at: 48,
    length: 8,
    values: [0n, 1n, 511n, 512n, 2n ** 21n, 2n ** 22n + 512n, 2n ** 30n, 2n ** 30n + 512n, ...POWERS],
  },
  { name: "backing_filename_offset", at: 56, length: 4, values: [0n, 1n, 63n, 64n, 4085n, 4096n, 2n ** 31n, 2n ** 32n - 1n] },
  { name: "backing_filename_size", at: 60, length: 4, values: [0n, 1n, 11n, 1023n, 1024n, 4032n, 2n ** 31n, 2n ** 32n - 1n] },
];

function hexOf(value: bigint, length: 4 | 8): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes.subarray(0, length).toString("hex");
}

/** Where an entry may lead: nowhere, into what is not data, past the end, or where another leads already. */
function target(base: QedBase, random: SeededRandom): { readonly about: string; readonly value: bigint } {
  const end = base.bytes.size;
  const of = (about: string, value: number | bigint): { about: string; value: bigint } => ({ about, value: BigInt(value) });
  const table = random.pick(base.l2);
  const data = random.pick(base.data);
  const power = random.pick(POWERS);
  return random.pick([
    of("0", 0),
    of("the zero marker", 1),
    of("2", 2),
    of("the first cluster", CLUSTER),
    of("the L1 table", base.l1Offset),
    of("the L1 table's last cluster", base.l1Offset + base.tableLength - CLUSTER),
    of("an L2 table", table.offset),
    of("an L2 table's last cluster", table.offset + base.tableLength - CLUSTER),
    of("another's data", data.offset),
    of("unaligned", data.offset + random.pick([1, 8, 512, 2048])),
    of("the last cluster", end - CLUSTER),
    of("the end", end),
    of("past the end", end + random.between(1, 4) * CLUSTER),
    of(`0x${power.toString(16)}`, power),
    of("data, 2^32 further", data.offset + 2 ** 32),
    of("data, 2^63 further", BigInt(data.offset) + 2n ** 63n),
  ]);
}

const field: Maker = (_base, random) => {
  const { name, at, length, values } = random.pick(FIELDS);
  const value = random.chance(0.9) ? random.pick(values) : Buffer.from(random.bytes(8)).readBigUInt64LE();
  return { about: `${name} = ${value}`, at, hex: hexOf(value, length) };
};

const l1Entry: Maker = (base, random) => {
  const index = random.chance(0.8) ? random.below(4) : random.below(base.tableLength / 8);
  const { about, value } = target(base, random);
  return { about: `L1 entry ${index} leads to ${about}`, at: base.l1Offset + index * 8, hex: hexOf(value, 8) };
};

const l2Entry: Maker = (base, random) => {
  const at = random.chance(0.5) ? random.pick(base.data).entryAt : random.pick(base.l2).offset + random.below(base.tableLength / 8) * 8;
  const { about, value } = target(base, random);
  return { about: `the L2 entry at ${at} leads to ${about}`, at, hex: hexOf(value, 8) };
};

const truncation: Maker = (base, random) => {
  const end = base.bytes.size;
  const size = random.pick([
    random.below(end + 1),
    random.below(130),
    random.below(end / CLUSTER) * CLUSTER,
    end - random.between(1, 4096),
  ]);
  return { about: "cut off", size };
};

const extension: Maker = (base, random) => {
  const sizes = [random.between(1, 3 * CLUSTER), random.between(1, 3) * CLUSTER, 2 ** 31, 2 ** 32 + 5, 2 ** 40, 2 ** 45];
  return { about: "made longer", size: base.bytes.size + random.pick(sizes) };
};

const name: Maker = (_base, random) => ({
  about: "another backing file name",
  at: 64,
  hex: Buffer.from(random.pick([random.bytes(11), Uint8Array.of(0), Buffer.from("\n"), Buffer.from("../x"), Buffer.from("a:b")])).toString(
    "hex",
  ),
});

/** Among the metadata, mostly. */
const noise: Maker = (base, random) => {
  const start = random.pick([0, 0, base.l1Offset, random.pick(base.l2).offset]);
  const at = start + random.below(start === 0 ? 80 : base.tableLength);
  return { about: "noise", at, hex: Buffer.from(random.bytes(random.between(1, 24))).toString("hex") };
};

const MAKERS: readonly Maker[] = [field, field, l1Entry, l1Entry, l2Entry, l2Entry, l2Entry, truncation, extension, name, noise];

/** One to five changes. */
export function qedMutations(base: QedBase, random: SeededRandom): Mutation[] {
  return Array.from({ length: 1 + Math.min(random.below(5), random.below(5)) }, () => random.pick(MAKERS)(base, random));
}
