/** `qemu-nbd -c` and `-d`: the disk of a device of the kernel. */

import { BlockError } from "@coblock/core";
import { disconnectDevice, KernelDevice, NbdServer } from "@coblock/nbd";
import { CommandFailure } from "../failure.ts";
import type { Session } from "../session.ts";
import { tellReady } from "./background.ts";
import { exportOf, openDisk } from "./disk.ts";
import { writePid } from "./serve.ts";
import type { Invocation } from "./words.ts";

/** Serves `device` until a signal comes, or until somebody disconnects it. Answers the exit code. Throws CommandFailure. */
export async function serveDevice(device: string, name: string, invocation: Invocation, session: Session): Promise<number> {
  session.endOnHangup();
  if (invocation.has("image-opts") && invocation.has("f")) throw new CommandFailure("--image-opts and -f are mutually exclusive");
  await using graph = session.createGraph();
  await using node = await openDisk(graph, name, invocation, session);
  const { name: exportName, ...served } = exportOf(invocation, async () => node.retain());
  await using server = await NbdServer.start({ exports: [{ ...served, name: exportName }], clock: session.clock });
  writePid(invocation.value("pid-file"));
  const connected = await KernelDevice.connect({ path: device, server, exportName }).catch(refuse);
  if (invocation.has("v")) session.note(`NBD device ${device} is now connected to ${name}`);
  tellReady(session);
  try {
    await Promise.race([session.untilSignal(), connected.gone]).catch(refuse);
  } finally {
    await connected[Symbol.asyncDispose]();
  }
  return 0;
}

/** Answers the exit code. Throws CommandFailure. */
export async function disconnect(device: string, session: Session): Promise<number> {
  await disconnectDevice(device).catch(refuse);
  session.output.line(`${device} disconnected`);
  return 0;
}

function refuse(error: unknown): never {
  throw error instanceof BlockError ? new CommandFailure(error.message, 1, { cause: error }) : error;
}
