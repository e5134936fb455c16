/** `aio_read`, `aio_write` and `aio_flush`: requests that run beside the commands after them. */

import type { IoCall, IoCommand } from "../command.ts";
import { IoFailure, IoUsage } from "../failure.ts";
import type { Shell } from "../shell.ts";
import { perform as performRead, readingOf } from "./read.ts";
import { flagsOf, patternOf, perform as performWrite, vectorOf, type Writing } from "./write.ts";

export const aioRead: IoCommand = {
  name: "aio_read",
  minimum: 2,
  letters: "CP:iqv",
  stopsAt: "i",
  synopsis: "[-Ciqv] [-P pattern] off len [len..]",
  summary: "begin to read a range of bytes",
  explanation: `
 Example: 'aio_read -v 512 1k 1k' reads 2048 bytes at offset 512 and prints them when they are there.

 The command succeeds once the request is on its way, whatever becomes of it: 'aio_flush' waits for the end of all.

 -C          print the statistics in one line, for programs
 -P pattern  check that each byte is this one
 -i          count a request that is not valid, and do nothing
 -q          print no statistics
 -v          print the bytes
`,
  needs: "image",
  run: async (call) => {
    if (call.has("i")) return call.shell.print("injecting invalid read request\n");
    const reading = readingOf(call, "readv");
    begin(call.shell, () => performRead(call.shell, reading));
  },
};

export const aioWrite: IoCommand = {
  name: "aio_write",
  minimum: 2,
  letters: "CfiP:quz",
  stopsAt: "i",
  synopsis: "[-Cfiquz] [-P pattern] off len [len..]",
  summary: "begin to write a range of bytes",
  explanation: `
 Example: 'aio_write -P 7 512 1k 1k' writes 2048 bytes at offset 512 from two buffers.

 The command succeeds once the request is on its way, whatever becomes of it: 'aio_flush' waits for the end of all.

 -C          print the statistics in one line, for programs
 -f          be on stable storage in the end
 -i          count a request that is not valid, and do nothing
 -P pattern  fill with this byte; without it with 0xcd
 -q          print no statistics
 -u          with -z: the space may be given back
 -z          write zeros without data
`,
  needs: "write",
  run: async (call) => {
    if (call.has("i")) return call.shell.print("injecting invalid write request\n");
    const writing = writingOf(call);
    begin(call.shell, () => performWrite(call.shell, writing));
  },
};

export const aioFlush: IoCommand = {
  name: "aio_flush",
  minimum: 0,
  maximum: 0,
  synopsis: "",
  summary: "wait for all requests that were begun",
  needs: "image",
  run: ({ shell }) => shell.settle(),
};

function writingOf(call: IoCall): Writing {
  patternOf(call);
  if (call.operands.length < 2) throw new IoUsage();
  if (call.has("z") && call.operands.length > 2) throw new IoFailure("-z supports only a single length parameter");
  if (call.has("u") && !call.has("z")) throw new IoFailure("-u requires -z to be specified");
  if (!call.has("z")) return vectorOf(call, "aio_write");
  const [offsetWord = "", lengthWord = ""] = call.operands;
  const offset = call.shell.number(offsetWord);
  return { offset, length: call.shell.number(lengthWord), bytes: undefined, ...flagsOf(call), called: "aio_write" };
}

/** A failure is told, and is nobody else's. */
function begin(shell: Shell, request: () => Promise<void>): void {
  const told = async (): Promise<void> => {
    try {
      await request();
    } catch (error) {
      shell.tell(error);
    }
    shell.session.output.flush();
  };
  shell.start(told());
}
