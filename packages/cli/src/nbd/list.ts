/** `qemu-nbd --list`: the exports of a server, and what it tells of each. */

import { describeExports, type DescribedExport, type NbdOptions } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import type { Output } from "../output.ts";
import type { Session } from "../session.ts";
import type { Invocation } from "./words.ts";

/** Names of the transmission flags by bit. proto.md, "Transmission flags". */
const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [0x2, "readonly"],
  [0x4, "flush"],
  [0x8, "fua"],
  [0x10, "rotational"],
  [0x20, "trim"],
  [0x40, "zeroes"],
  [0x80, "df"],
  [0x100, "multi"],
  [0x200, "resize"],
  [0x400, "cache"],
  [0x800, "fast-zero"],
  [0x1000, "block-status-payload"],
];

/** Answers the exit code. Throws what `describeExports` throws. */
export async function printList(invocation: Invocation, session: Session): Promise<number> {
  const path = invocation.value("k");
  const [host, port] = [invocation.value("b") ?? "0.0.0.0", invocation.value("p") ?? "10809"];
  const id = invocation.value("tls-creds");
  const hostName = invocation.value("tls-hostname");
  const tls = id === undefined ? undefined : session.tlsCredentials(id);
  if (tls?.side === "server") throw new CommandFailure("Failed to get TLS creds: Expecting TLS credentials with a client endpoint");
  const options: NbdOptions = {
    ...(path === undefined ? { host, port } : { path }),
    ...(tls === undefined ? {} : { tlsCreds: tls.credentials }),
    ...(hostName === undefined ? {} : { tlsHostname: hostName }),
  };
  const exports = await describeExports(options, session.clock);
  const { output } = session;
  output.line(`exports available: ${exports.length}`);
  for (const one of exports) printExport(one, output);
  return 0;
}

function printExport({ name, description, size, flags, blockSizes, contexts }: DescribedExport, output: Output): void {
  output.line(` export: '${name}'`);
  if (description !== "") output.line(`  description: ${description}`);
  output.line(`  size:  ${size}`);
  const names = FLAG_NAMES.flatMap(([bit, word]) => ((flags & bit) === 0 ? [] : [`${word} `]));
  output.line(`  flags: 0x${flags.toString(16)} ( ${names.join("")})`);
  if (blockSizes !== undefined) {
    output.line(`  min block: ${blockSizes.minimum}`);
    output.line(`  opt block: ${blockSizes.preferred}`);
    output.line(`  max block: ${blockSizes.maximum}`);
  }
  if (contexts.length > 0) output.line(`  available meta contexts: ${contexts.length}`);
  for (const context of contexts) output.line(`   ${context}`);
}
