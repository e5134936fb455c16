/** The manual of `coblock nbd`. */

import { file, FORMAT, IMAGE_OPTIONS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["serve filename", "list uri"],
  description: [
    "serve makes the image a disk for NBD clients, read-only unless told otherwise, until SIGINT or SIGTERM; requests in flight are then finished.",
    "list prints the exports of a server.",
    "Any other word behind nbd is qemu-nbd's: see 'coblock nbd -t --help'.",
  ],
  options: {
    write: "clients may write",
    format: FORMAT,
    exportName: { argument: "name", help: 'the export\'s name (default "")' },
    description: { argument: "text", help: "words for whoever reads the list of exports" },
    socket: file("socket", "a Unix socket; default one in the folder for temporary files"),
    port: { argument: "port", help: "TCP instead; 0: any free port" },
    bind: { argument: "address", help: "where TCP listens (default the loopback address)" },
    connections: { argument: "clients", help: "at one time (default 100)" },
    bitmaps: { argument: "bitmap", help: "clients may ask for that dirty bitmap" },
    depth: "clients may ask which layer holds what",
    certificates: {
      argument: "folder",
      completes: "folder",
      help: "TLS for all: a folder with ca-cert.pem, server-cert.pem and server-key.pem",
    },
    preSharedKeys: file("file", "TLS for all: a file of user:key lines"),
    imageOptions: IMAGE_OPTIONS,
    quiet: QUIET,
  },
  examples: [
    { line: "coblock nbd serve -k /tmp/disk.sock disk.qcow2", why: "serve it to this machine" },
    { line: "coblock nbd list nbd://server", why: "what does that server have?" },
  ],
};
