/** The commands of qemu-io by name, in the order in which `help` lists them. */

import { aioFlush, aioRead, aioWrite } from "./commands/aio.ts";
import { removeBreak, resume, setBreak, waitBreak } from "./commands/breakpoints.ts";
import { alloc, discard, flush, info, length, map, truncate } from "./commands/disk.ts";
import { close, open, reopen } from "./commands/open.ts";
import { abort, help, quit, sigraise, sleep } from "./commands/process.ts";
import { read, readv } from "./commands/read.ts";
import { write, writev } from "./commands/write.ts";
import type { IoCommand } from "./command.ts";

export const COMMANDS: readonly IoCommand[] = [
  abort,
  aioFlush,
  aioRead,
  aioWrite,
  alloc,
  setBreak,
  close,
  discard,
  flush,
  help,
  info,
  length,
  map,
  open,
  quit,
  read,
  readv,
  removeBreak,
  reopen,
  resume,
  sigraise,
  sleep,
  truncate,
  waitBreak,
  write,
  writev,
];

/** By name or alias. */
export function findCommand(name: string): IoCommand | undefined {
  return COMMANDS.find((command) => command.name === name || command.alias === name);
}
