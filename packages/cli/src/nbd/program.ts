/** The program `qemu-nbd`: its words, and what they ask for. */

import { CommandFailure } from "../failure.ts";
import { parseWords } from "../getopt.ts";
import { versionText } from "../help.ts";
import type { Session } from "../session.ts";
import { readTraceWords } from "../trace-words.ts";
import { isInBackground, serveInBackground } from "./background.ts";
import { disconnect, serveDevice } from "./device.ts";
import { NBD_HELP } from "./help.ts";
import { printList } from "./list.ts";
import { serve } from "./serve.ts";
import { type Invocation, invocationOf, LETTERS, LONG } from "./words.ts";

/** Options that say what is served, and how. */
const DEVICE_OPTIONS = ["c", "o", "f", "l", "n", "cache", "aio", "discard", "detect-zeroes", "x", "D", "A", "B"];
const ABSENT = ["selinux-label"];

/** Answers the exit code. */
export async function runNbd(argv: readonly string[], session: Session): Promise<number> {
  const { options, operands, problem } = parseWords(argv, { letters: LETTERS, long: LONG, inOrder: session.endsOptionsEarly });
  const asked = options.findIndex(({ name }) => name === "h" || name === "V");
  const invocation = invocationOf(asked < 0 ? options : options.slice(0, asked));
  if (asked >= 0) {
    session.output.print(options[asked]?.name === "h" ? NBD_HELP : versionText(session.program));
    return 0;
  }
  const { name: program } = session.program;
  if (problem !== undefined) {
    session.complain(problem.message);
    throw new CommandFailure(`Try \`${program} --help' for more information.`);
  }
  await session.makeObjects(invocation.values("object"));
  if (invocation.has("L")) {
    checkList(invocation, operands);
    return printList(invocation, session);
  }
  const [image] = operands;
  if (image === undefined || operands.length > 1) {
    session.complain("Invalid number of arguments");
    session.note(`Try \`${program} --help' for more information.`);
    return 1;
  }
  if (invocation.has("d")) return disconnect(image, session);
  checkServing(invocation, session);
  if ((await readTraceWords(invocation.values("T"), session)) === "list") return 0;
  const device = invocation.value("c");
  const goesOnAlone = invocation.has("fork") || (device !== undefined && !invocation.has("v"));
  if (goesOnAlone && !isInBackground(session)) return serveInBackground(session);
  return device === undefined ? serve(image, invocation, session) : serveDevice(device, image, invocation, session);
}

function checkList(invocation: Invocation, operands: readonly string[]): void {
  if (operands.length > 0) throw new CommandFailure("List mode is incompatible with a file name");
  if (DEVICE_OPTIONS.some((name) => invocation.has(name))) throw new CommandFailure("List mode is incompatible with per-device settings");
  if (invocation.has("fork")) throw new CommandFailure("List mode is incompatible with forking");
  checkAuthorization(invocation);
  checkSocket(invocation);
}

function checkServing(invocation: Invocation, session: Session): void {
  checkAuthorization(invocation);
  if (invocation.has("tls-hostname")) throw new CommandFailure("option --tls-hostname is for --list");
  checkSocket(invocation);
  if (invocation.has("tls-creds") && invocation.has("c")) throw new CommandFailure("TLS is not supported with a host device");
  const credentials = invocation.value("tls-creds");
  if (credentials !== undefined) session.tlsCredentials(credentials);
  for (const name of ABSENT) if (invocation.has(name)) throw new CommandFailure(`option --${name} is not there yet`);
}

function checkAuthorization(invocation: Invocation): void {
  for (const name of ["tls-authz", "tls-hostname"])
    if (invocation.has(name) && !invocation.has("tls-creds")) throw new CommandFailure(`--${name} is not permitted without --tls-creds`);
}

function checkSocket(invocation: Invocation): void {
  if (invocation.value("k")?.startsWith("/") === false) throw new CommandFailure("socket path must be absolute");
}
