/** VDI (VirtualBox), dynamic and static, readable and writable: a header, a map of 1 MiB blocks, and the blocks. */

import { randomFillSync } from "node:crypto";
import { BlockError, Guarded } from "@coblock/core";
import type { BlockChild, BlockDriver, DriverEntry, MappedImage, NodeOptions, OpenContext } from "@coblock/core";

declare module "@coblock/core" {
  interface DriverOptions {
    vdi: { readonly file: NodeOptions };
  }
}

const SIGNATURE = 0xbeda107f;
const VERSION = 0x00010001;
const SECTOR = 512;
const BLOCK = 1024 * 1024;
/** Map values from here on say "no block": never allocated, or discarded. Both read as zeros. */
const FIRST_UNUSED = 0xfffffffe;
const MAX_BLOCKS = 0x1fffff80;
const COUNT_OFFSET = 388;

export const vdiDriver: DriverEntry = {
  name: "vdi",
  kind: "format",
  probe: (head) => (head.length >= SECTOR && viewOf(head).getUint32(64, true) === SIGNATURE ? 100 : 0),
  load: () => Promise.resolve(driver),
};

const driver: BlockDriver = {
  name: "vdi",
  kind: "format",
  optionNames: ["file"],
  open: openVdi,
  createOptions: [{ name: "static", type: "flag", help: "Allocate all blocks now", defaultValue: false }],
  create: (options, context) => createVdi(options, context),
};

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function corrupt(file: BlockChild, what: string): BlockError {
  return new BlockError("CORRUPT_IMAGE", `${file.fileName}: VDI ${what}`);
}

async function openVdi(options: { readonly file: NodeOptions }, context: OpenContext): Promise<MappedImage> {
  const file = await context.child("file", "data and metadata", options.file);
  if (file.size < SECTOR) throw corrupt(file, `header needs ${SECTOR} bytes, the file has ${file.size}`);
  const bytes = new Uint8Array(SECTOR);
  await file.read(0, bytes);
  const header = viewOf(bytes);
  const field = (offset: number): number => header.getUint32(offset, true);
  const size = Math.ceil((field(372) * 2 ** 32 + field(368)) / SECTOR) * SECTOR;
  const [type, mapOffset, dataOffset, blocks] = [field(76), field(340), field(344), field(384)];
  if ((type !== 1 && type !== 2) || bytes.subarray(424, 456).some((byte) => byte !== 0))
    throw new BlockError(
      "UNSUPPORTED_FEATURE",
      `${file.fileName}: VDI image of type ${type} is neither dynamic nor static, or it has a parent`,
    );
  const rules: readonly (readonly [boolean, string])[] = [
    [field(64) === SIGNATURE && field(68) === VERSION, `has signature 0x${field(64).toString(16)} and version 0x${field(68).toString(16)}`],
    [field(360) === SECTOR && field(376) === BLOCK, `has sectors of ${field(360)} and blocks of ${field(376)} bytes`],
    [mapOffset % SECTOR === 0 && dataOffset % SECTOR === 0, `map at ${mapOffset} or data at ${dataOffset} is not on a sector`],
    [blocks <= MAX_BLOCKS && size <= blocks * BLOCK, `disk of ${size} bytes does not fit into ${blocks} blocks`],
    [mapOffset + blocks * 4 <= Math.min(dataOffset, file.size), `map of ${blocks} blocks at ${mapOffset} reaches too far`],
  ];
  for (const [holds, broken] of rules) if (!holds) throw corrupt(file, broken);
  const map = new Uint8Array(Math.ceil((blocks * 4) / SECTOR) * SECTOR);
  await file.read(mapOffset, map.subarray(0, Math.min(map.length, file.size - mapOffset)));
  // After a crash the count may be older than the map, or newer: a block that the map names is not given away again, others are lost.
  let used = field(COUNT_OFFSET);
  for (let index = 0; index < blocks; index++) {
    const block = viewOf(map).getUint32(index * 4, true);
    if (block < blocks) used = Math.max(used, block + 1);
  }
  return vdiImage({ file, size, blocks, mapOffset, dataOffset, used, map: viewOf(map) }, context);
}

interface Vdi {
  readonly file: BlockChild;
  readonly size: number;
  readonly blocks: number;
  readonly mapOffset: number;
  readonly dataOffset: number;
  /** Blocks handed out so far: the next one goes behind them. */
  used: number;
  readonly map: DataView;
}

function vdiImage(vdi: Vdi, context: OpenContext): MappedImage<Vdi, number> {
  const { file, size, blocks, map, dataOffset } = vdi;
  return {
    size,
    clusterSize: BLOCK,
    limits: { requestAlignment: 1 },
    // The header counts blocks without gaps, so one that failed must be the last one.
    maxAllocations: 1,
    state: new Guarded(`${context.nodeName} driver lock`, vdi, context.clock),
    storage: [file],
    lookup(_vdi, offset, length) {
      const index = Math.floor(offset / BLOCK);
      const left = Math.min(length, BLOCK - (offset % BLOCK));
      const block = map.getUint32(index * 4, true);
      if (block >= FIRST_UNUSED) return { kind: "zero", length: left };
      if (block >= blocks) throw corrupt(file, `map entry ${index} is ${block}, of ${blocks} blocks`);
      return { kind: "data", length: left, child: file, childOffset: dataOffset + block * BLOCK + (offset % BLOCK), writable: true };
    },
    ...allocation(vdi, context),
    ...checking(vdi),
    info: () => ({ clusterSize: BLOCK }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function allocation(vdi: Vdi, context: OpenContext): Required<Pick<MappedImage<Vdi, number>, "allocate" | "link" | "abandon">> {
  const { file, blocks, map, mapOffset, dataOffset } = vdi;
  const writeNumber = async (offset: number, value: number): Promise<void> => {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    await file.write(offset, bytes);
  };
  return {
    async allocate(_vdi, { offset }) {
      if (vdi.used >= blocks) throw corrupt(file, `header counts ${vdi.used} used blocks of ${blocks}`);
      const ticket = vdi.used++;
      const childOffset = dataOffset + ticket * BLOCK;
      return { offset, length: BLOCK, child: file, childOffset, readsZero: childOffset >= file.size, ticket };
    },
    /** Data, then the count that keeps the block from being given away again, then the map. */
    async link(_vdi, { offset, ticket, childOffset }) {
      if (childOffset + BLOCK > file.size) await file.resize(childOffset + BLOCK);
      await context.dataBarrier();
      await writeNumber(COUNT_OFFSET, vdi.used);
      await writeNumber(mapOffset + (offset / BLOCK) * 4, ticket);
      map.setUint32((offset / BLOCK) * 4, ticket, true);
    },
    async abandon() {
      vdi.used--;
    },
  };
}

function checking(vdi: Vdi): Required<Pick<MappedImage, "check">> {
  return {
    async check(_options, report) {
      const seen = new Set<number>();
      let corruptions = 0;
      const wrong = (what: string, offset: number): void => {
        corruptions++;
        report({
          severity: "error",
          what: `ERROR: ${what}`,
          offset,
          meaning: "The map is damaged.",
          repair: "none",
          risk: "Data may be mixed up.",
        });
      };
      for (let index = 0; index < vdi.blocks; index++) {
        const block = vdi.map.getUint32(index * 4, true);
        if (block >= FIRST_UNUSED) continue;
        if (block >= vdi.blocks) wrong(`block index ${index} out of range, is ${block}`, index * BLOCK);
        else if (seen.has(block)) wrong(`block index ${index} is also used elsewhere, is ${block}`, index * BLOCK);
        seen.add(block);
      }
      // The count goes up first: one that is too high is a block lost in a crash, one that is too low gives blocks away twice.
      if (seen.size > vdi.used) wrong(`allocated blocks mismatch, is ${seen.size}, should be ${vdi.used}`, COUNT_OFFSET);
      return { errors: 0, corruptions, leaks: Math.max(0, vdi.used - seen.size), corruptionsFixed: 0, leaksFixed: 0 };
    },
  };
}

const createVdi: NonNullable<BlockDriver["create"]> = async ({ filename, size, values }, context) => {
  const blocks = Math.ceil(size / BLOCK);
  if (blocks > MAX_BLOCKS)
    throw new BlockError("INVALID_OPTION", `VDI disks have at most ${MAX_BLOCKS} blocks of 1 MiB; ${size} bytes need ${blocks}`);
  const isStatic = values["static"] === true;
  const dataOffset = SECTOR + Math.ceil((blocks * 4) / SECTOR) * SECTOR;
  const file = await context.createFile(filename, 0);
  const bytes = new Uint8Array(dataOffset);
  const header = viewOf(bytes);
  bytes.set(new TextEncoder().encode("<<< Coblock VDI image >>>\n"));
  randomFillSync(bytes, 392, 32);
  for (const [index, value] of [SIGNATURE, VERSION, 0x180, isStatic ? 2 : 1].entries()) header.setUint32(64 + index * 4, value, true);
  for (const [index, value] of [SECTOR, dataOffset].entries()) header.setUint32(340 + index * 4, value, true);
  header.setUint32(360, SECTOR, true);
  header.setUint32(376, BLOCK, true);
  header.setUint32(384, blocks, true);
  header.setBigUint64(368, BigInt(size), true);
  header.setUint32(COUNT_OFFSET, isStatic ? blocks : 0, true);
  for (let index = 0; index < blocks; index++) header.setUint32(SECTOR + index * 4, isStatic ? index : 0xffffffff, true);
  await file.write(0, bytes);
  if (isStatic) await file.resize(dataOffset + blocks * BLOCK);
};
