/** What `--help` and `--version` print, by whichever name the command is called. */

import { COMMANDS } from "./command-table.ts";
import { FORMATS } from "./drivers.ts";
import type { Program } from "./program.ts";
import { QEMU_VERSION, VERSION } from "./version.ts";

/** All commands and what they share. */
export function helpText(program: Program): string {
  const { kind } = program;
  const commands = [...COMMANDS].map(([name, entry]) => `  ${name.padEnd(9)} ${entry.summary}`);
  return `${versionText(program)}usage: ${kind} [--help | --version] command [options]
It takes the words and options of qemu-img 7.2, prints what that prints, and ends with the same exit codes.

${commands.join("\n")}

'${kind} COMMAND --help' lists the options of a command.
Sizes are bytes; the suffixes k, M, G, T, P and E multiply by powers of 1024.
Image names are files, 'json:{...}' descriptions, or with --image-opts lists such as driver=qcow2,file.filename=disk.qcow2.
Every command takes passphrases: --object secret,id=sec0,data=...|file=...[,format=base64], which image options name (encrypt.key-secret=sec0).
Signals: SIGUSR1 prints how far the work is, SIGUSR2 what every node and lock is doing, both to standard error.
COBLOCK_DEBUG=1 adds the stack to error messages.

Formats: ${FORMATS.join(" ")}
`;
}

/** One line for `coblock`; the tools of QEMU print a second one, and programs look for the version that they stand for. */
export function versionText({ kind, name }: Program): string {
  if (kind === "coblock") return `coblock version ${VERSION}\n`;
  if (kind === "qemu-nbd") return `${name} ${QEMU_VERSION} (Coblock ${VERSION})\nCopyright (c) 2026 the Coblock authors\n`;
  return `${name} version ${QEMU_VERSION} (Coblock ${VERSION})\nCopyright (c) 2026 the Coblock authors\n`;
}
