/** `coblock nbd serve` and `coblock nbd list`: images for NBD clients, and what a server has. */

import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { listExports, loadCertificates, loadPreSharedKeys, NbdServer, type NbdAddress, type ServerTls } from "@coblock/nbd";
import { defineCommand, type Command } from "../command.ts";
import { flag, value, values, type CommandLine } from "../command-line.ts";
import { CommandFailure } from "../failure.ts";
import { openImage } from "../images.ts";
import { wordsOf } from "../nbd-events.ts";
import type { Session } from "../session.ts";
import { LiveTraffic } from "../terminal/live-traffic.ts";
import { formatSize, parseCount } from "../text/size.ts";

const OPTIONS = {
  write: flag("w", "write"),
  format: value("f", "format"),
  exportName: value("x", "export-name"),
  description: value("D", "description"),
  socket: value("k", "socket"),
  port: value("p", "port"),
  bind: value("b", "bind"),
  connections: value("e", "shared"),
  bitmaps: values("B", "bitmap"),
  depth: flag("A", "allocation-depth"),
  certificates: value(undefined, "tls-certificates"),
  preSharedKeys: value(undefined, "tls-psk-file"),
  imageOptions: flag(undefined, "image-opts"),
  quiet: flag("q", "quiet"),
} as const;
type Words = CommandLine<typeof OPTIONS>["options"];

export const command: Command = defineCommand({
  name: "nbd",
  manual: async () => (await import("../manual/nbd.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [action, name, ...more] = operands;
    if (name === undefined || more.length > 0 || (action !== "serve" && action !== "list"))
      throw new CommandFailure("nbd: Expecting 'serve' and one image file name, or 'list' and one URI");
    return action === "serve" ? serve(name, options, session) : list(name, session);
  },
});

async function list(uri: string, session: Session): Promise<number> {
  const exports = await listExports({ filename: uri }, session.clock);
  for (const { name, description } of exports) session.output.line(description === "" ? `'${name}'` : `'${name}': ${description}`);
  return 0;
}

async function serve(name: string, options: Words, session: Session): Promise<number> {
  const { format, imageOptions, write, exportName = "", description = "", bitmaps, depth, quiet } = options;
  await using graph = session.createGraph();
  await using image = await openImage(graph, { name, format, imageOptions, writable: write }, session);
  const maxConnections = options.connections === undefined ? undefined : parseCount(options.connections, "number of clients");
  if (maxConnections === 0) throw new CommandFailure("Invalid number of clients: at least 1 must be served");
  const tls = await tlsOf(options);
  let tell = (line: string): void => session.note(line);
  const listen = addressOf(options);
  if ("path" in listen) await removeLeftSocket(listen.path);
  await using server = await NbdServer.start({
    listen,
    tls,
    exports: [{ name: exportName, description, node: image, writable: write, bitmaps, allocationDepth: depth }],
    clock: session.clock,
    ...(maxConnections === undefined ? {} : { maxConnections }),
    onEvent: (event) => {
      if (!quiet || event.kind === "cut off") tell(`coblock: ${wordsOf(event)}`);
    },
  });
  const uri = clientUri(server.uri(exportName), options, tls);
  session.output.line(`${name}: ${formatSize(image.size)}, ${image.driver}, ${write ? "writable" : "read-only"}, served at`);
  session.output.line(`  ${uri}`);
  if (!quiet) session.output.print(hints(uri, tls !== undefined));
  session.output.flush();
  const { errorScreen: screen, clock } = session;
  {
    using live = screen.isTerminal && !quiet ? new LiveTraffic({ screen, print: (text) => session.relay(text), clock, server }) : undefined;
    if (live !== undefined) tell = (line) => live.above(() => session.note(line));
    await session.untilSignal();
    tell = (line) => session.note(line);
  }
  return 0;
}

/** With what a client on this machine needs for TLS, as libnbd and Coblock take it. */
function clientUri(uri: string, { certificates, preSharedKeys }: Words, tls: ServerTls | undefined): string {
  const credentials = tls?.credentials;
  if (credentials === undefined) return uri;
  const file = certificates ?? preSharedKeys ?? "";
  const parameter = `tls-${credentials.kind === "psk" ? "psk-file" : "certificates"}=${encodeURIComponent(resolve(file)).replaceAll("%2F", "/")}`;
  const [user = ""] = credentials.kind === "psk" ? credentials.keys.keys() : [];
  const named = user === "" ? uri : uri.replace("://", `://${encodeURIComponent(user)}@`);
  return `${named}${named.includes("?") ? "&" : "?"}${parameter}`;
}

/** qemu-img takes no URIs for TLS. */
function hints(uri: string, isSecure: boolean): string {
  const qemu = isSecure ? [] : [`qemu-img convert -O qcow2 '${uri}' copy.qcow2`];
  const lines = [`nbdinfo '${uri}'`, `nbdcopy '${uri}' copy.raw`, ...qemu, `coblock map '${uri}'`];
  return `For example:\n${lines.map((line) => `  ${line}\n`).join("")}Stop with Ctrl-C.\n`;
}

function addressOf({ socket, port, bind }: Words): NbdAddress {
  if (socket !== undefined && (port !== undefined || bind !== undefined))
    throw new CommandFailure("A Unix socket (-k) and TCP (-p, -b) exclude each other");
  if (port === undefined && bind === undefined) return { path: socket ?? join(tmpdir(), `coblock-${process.pid}.sock`) };
  const number = port === undefined ? 10_809 : parseCount(port, "port");
  if (number > 65_535) throw new CommandFailure(`Invalid port specified: '${port}'`);
  return { port: number, ...(bind === undefined ? {} : { host: bind }) };
}

/** A server that was killed has left its socket, on which nobody listens. Whatever else is in the place stays. */
async function removeLeftSocket(path: string): Promise<void> {
  const socket = connect(path);
  const code = await new Promise<string | undefined>((tell) => {
    socket.once("connect", () => tell(undefined)).once("error", (error: NodeJS.ErrnoException) => tell(error.code));
  });
  socket.destroy();
  if (code === "ECONNREFUSED" && lstatSync(path, { bigint: true, throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
}

async function tlsOf({ certificates, preSharedKeys }: Words): Promise<ServerTls | undefined> {
  if (certificates !== undefined && preSharedKeys !== undefined)
    throw new CommandFailure("Certificates and pre-shared keys for TLS exclude each other");
  if (certificates !== undefined) return { credentials: await loadCertificates(certificates, "server") };
  return preSharedKeys === undefined ? undefined : { credentials: await loadPreSharedKeys(preSharedKeys, "") };
}
