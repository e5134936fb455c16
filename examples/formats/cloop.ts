/** cloop 2.0 (compressed loop images of old live CDs), read-only: a shell preamble, an index of offsets, and zlib blocks. */

import { inflate } from "node:zlib";
import { BlockError, Guarded } from "@coblock/core";
import type { BlockDriver, DriverEntry, MappedImage, Mapping, NodeOptions, OpenContext } from "@coblock/core";

declare module "@coblock/core" {
  interface DriverOptions {
    cloop: { readonly file: NodeOptions };
  }
}

const PREAMBLE = "#!/bin/sh\n#V2.0 Format\n";
const HEADER_LENGTH = 136;
const MAX_BLOCK_LENGTH = 64 * 1024 * 1024;

const driver: BlockDriver = { name: "cloop", kind: "format", optionNames: ["file"], open: openCloop };

export const cloopDriver: DriverEntry = {
  name: "cloop",
  kind: "format",
  probe: (head) => (Buffer.from(head).toString("latin1").startsWith(PREAMBLE) ? 50 : 0),
  load: () => Promise.resolve(driver),
};

async function openCloop(options: { readonly file: NodeOptions }, context: OpenContext): Promise<MappedImage> {
  if (!context.readOnly) throw new BlockError("READ_ONLY", "cloop images can only be read");
  const file = await context.child("file", "data and metadata", options.file);
  const corrupt = (what: string): never => {
    throw new BlockError("CORRUPT_IMAGE", `${file.fileName}: cloop ${what}`, { node: context.nodeName });
  };
  const header = Buffer.alloc(HEADER_LENGTH);
  if (file.size < HEADER_LENGTH) corrupt(`header needs ${HEADER_LENGTH} bytes, the file has ${file.size}`);
  await file.read(0, header);
  const [blockLength, blocks] = [header.readUInt32BE(128), header.readUInt32BE(132)];
  const indexLength = (blocks + 1) * 8;
  if (blockLength === 0 || blockLength % 512 !== 0 || blockLength > MAX_BLOCK_LENGTH)
    corrupt(`block length ${blockLength} is not 512 to ${MAX_BLOCK_LENGTH} in whole sectors`);
  if (HEADER_LENGTH + indexLength > file.size) corrupt(`index of ${blocks} blocks reaches past the end of the file, at ${file.size}`);
  const index = Buffer.alloc(indexLength);
  await file.read(HEADER_LENGTH, index);

  const lookup = (_state: undefined, offset: number, length: number): Mapping => {
    const block = Math.floor(offset / blockLength);
    const skip = offset - block * blockLength;
    const [start, end] = [Number(index.readBigUInt64BE(block * 8)), Number(index.readBigUInt64BE(block * 8 + 8))];
    const storedLength = end - start;
    if (start < HEADER_LENGTH || storedLength <= 0 || end > file.size || storedLength > 2 * blockLength + 512) {
      throw new BlockError("CORRUPT_IMAGE", `${file.fileName}: cloop block ${block} lies at ${start} to ${end}`, { offset });
    }
    const stored = { child: file, childOffset: start, length: storedLength };
    return { kind: "encoded", length: Math.min(length, blockLength - skip), stored, unitLength: blockLength, skip, decode };
  };
  return {
    size: blocks * blockLength,
    limits: { requestAlignment: 1 },
    clusterSize: blockLength,
    state: new Guarded(`${context.nodeName} driver lock`, undefined, context.clock),
    storage: [file],
    lookup,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function decode(stored: Uint8Array, unit: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    inflate(stored, { maxOutputLength: unit.length }, (error, bytes) => {
      if (error !== null || bytes.length !== unit.length)
        return reject(new BlockError("CORRUPT_IMAGE", "a cloop block does not inflate to its length", { cause: error }));
      unit.set(bytes);
      resolve();
    });
  });
}
