/** Requests of qemu-io: by hand where a case is one of its kind, made from lists where options combine. */

import { pairs, qcow2, raw } from "./qemu-io-lines.ts";

const OFFSETS = [
  "0 512",
  "0 1M",
  "100 77",
  "0x200 1k",
  "1.5k 2K",
  "1023k 1k",
  "1M 1",
  "0 2M",
  "x 512",
  "0 x",
  "0 0",
  "1M 0",
  "0 3G",
  "-1 512",
];

export const READS: readonly string[] = [
  ...pairs(["read ", "readv ", "read -q ", "read -C "], OFFSETS).map((command) => raw(command)),
  ...["-v", "-qv", "-Cv", "-p", "-P 0", "-P 256", "-P x", "-P -1", "-P 0x1", "-P 010", "-P 08", "-b", "-a", "-z", "--x"].map((option) =>
    raw(`read ${option} 0 100`),
  ),
  ...["-l 10", "-s 10", "-P 0 -l 1", "-P 1 -l 1 -s 1", "-P 0 -l 101", "-P 0 -s 101", "-P 0 -s 50 -l 51", "-P 0 -l x", "-P 0 -s x"].map(
    (option) => raw(`read ${option} 0 100`),
  ),
  ...[
    "read",
    "read 0",
    "read 0 1 2",
    "read -P 0 512",
    "readv 0",
    "readv -P 1 0 1 1",
    "readv -v 0 16 16",
    "readv -q 0 1",
    "readv -l 1 0 1",
  ].map((command) => raw(command)),
  ...[
    "readv 0 1 x",
    "readv 0 1G 1G",
    "readv 0 3G",
    "readv x 1",
    "readv 0 512 2M",
    "read 010 8",
    "read 1b 8",
    "read 0 1B",
    "read .5k 8",
  ].map((command) => raw(command)),
  ...[
    "read 0.5 8",
    "read 1.0000001k 8",
    "read +1 8",
    "read 0 0x1k",
    "read 0 1kk",
    "read 0 1kB",
    "read 1. 8",
    "read 1e3 1",
    "read 8E 1",
  ].map((command) => raw(command)),
  ...["read 0 9E", "read 9999999999999999999 1", 'read "0" 1', "r 0 512", "read 0  512  "].map((command) => raw(command)),
  qcow2("read -P 1 0 128k", "read -P 2 128k 64k", "read -P 0 512k 64k", "read -P 3 704k 1k", "read -P 0 705k 1k"),
  qcow2("read -P 1 100k 100k"),
  "-f qed -c 'read -P 4 64k 128k' -c 'read -P 0 0 64k' -c 'read -P 5 0 1' disk.qed",
  "-f raw -c 'read 0 1024' -c 'read -v 990 34' -c 'read 0 1025' odd.raw",
  "-f raw -c 'read 0 1' -c 'read 0 0' empty.raw",
];

export const WRITES: readonly string[] = [
  ...pairs(["write ", "writev ", "write -P 9 ", "write -z "], OFFSETS).map((command) => raw(command)),
  ...["-q", "-C", "-f", "-p", "-zu", "-zn", "-zf", "-zC", "-P 0xff", "-P 256", "-s source", "-s missing", "-s .", "-i", "-x"].map(
    (option) => raw(`write ${option} 0 1000`, "read -v 0 16"),
  ),
  ...["-u", "-n", "-z -P 1", "-s source -P 1", "-s source -z", "-b -z", "-f -b", "-f -c", "-b", "-c", "-cz"].map((option) =>
    raw(`write ${option} 0 512`),
  ),
  ...["-c 1 512", "-c 0 100", "-b 0 100", "-s empty.raw 0 9", "-P 0", "-zn 0 3G", "0"].map((words) => raw(`write ${words}`)),
  ...[
    "writev 0 512 1k",
    "writev -P 7 100 1 2 3",
    "writev -f 0 1",
    "writev -q 0 1",
    "writev -C 0 1",
    "writev -z 0 1",
    "writev 0",
    "writev 0 x",
  ].map((command) => raw(command)),
  ...["write -P 9 0 64k", "write -P 9 100 100", "write -P 9 60k 70k", "write -z 128k 64k", "write -z 100k 100k", "write -zu 0 1M"].map(
    (command) => qcow2(command),
  ),
  ...[
    "write -c -P 9 256k 64k",
    "write -c 256k 512",
    "write -c 100 512",
    "write 1M 512",
    "write -z 1M 512",
    "write -zu 128k 64k",
    "write -z 700k 10k",
  ].map((command) => qcow2(command)),
  ...["write -P 5 0 2k", "write -z 0 4k", "write -zu 0 64k", "write -P 6 2k 1"].map((command) => `-f qcow2 -c '${command}' sub.qcow2`),
  ...["write -P 9 0 1k", "write -z 64k 64k", "write -P 9 100k 100k"].map((command) => `-f qed -c '${command}' disk.qed`),
  "-f raw -c 'write -P 9 0 100' odd.raw",
  "-f raw -c 'write -P 9 900 124' odd.raw",
  "-f raw -c 'write -P 9 1000 25' odd.raw",
  "-f raw -r -c 'write 0 512' disk.raw",
  "-f raw -r -c 'write 0' disk.raw",
  "-f raw -r -c 'discard 0 512' disk.raw",
  "-f raw -r -c 'aio_write 0 512' disk.raw",
  "-f raw -r -c 'truncate 512' disk.raw",
  "-f raw -r -c 'flush' disk.raw",
];

/** The state of a machine, beside the disk. */
export const STATES: readonly string[] = [
  qcow2("write -b -P 7 0 64k", "read -b -P 7 0 64k", "read -P 1 0 64k"),
  qcow2("write -b 100 512"),
  qcow2("write -b 512 100"),
  qcow2("write -b -P 7 1M 128k", "write -b -P 8 1127424 512", "read -b -v 1127424 512", "read -b -P 0 0 1M", "read -b -P 7 1M 512"),
  qcow2("read -b 0 100"),
  qcow2("read -b -P 1 0 512"),
  "-f qcow2 -c 'write -b -P 5 512 96k' -c 'read -b -P 5 512 96k' -c 'read -P 0 0 1M' -c 'read -b -P 0 0 512' sub.qcow2",
  "-r -f qcow2 -c 'read -b 0 512' -c 'write -b 0 512' new.qcow2",
  "-f qed -c 'write -b 0 512' -c 'read -b 0 512' disk.qed",
  "--image-opts -c 'write -b -P 6 0 1k' -c 'read -b -P 6 0 1k' driver=blkdebug,image.driver=qcow2,image.file.filename=new.qcow2",
  qcow2("write -b -C 0 512", "read -b -C 0 512"),
  qcow2("write -b -q 0 512", "read -b -qv 0 512"),
  qcow2("write -b -P 9 3M 1M", "write -P 4 0 1M", "flush", "read -b -P 9 3M 1M"),
  "-f qcow2 -c 'write -b -P 3 0 2M' -c 'write -P 2 0 64k' -c 'read -b -P 3 0 2M' base.qcow2",
];

export const ASYNCHRONOUS: readonly string[] = [
  ...pairs(["aio_read ", "aio_write ", "aio_write -z "], ["0 512", "0 512 512", "1M 1", "0 2M", "x 1", "0 x", "0"]).map((command) =>
    raw(command, "aio_flush"),
  ),
  ...[
    "aio_read -v 0 16",
    "aio_read -P 0 0 1",
    "aio_read -P 5 0 1",
    "aio_read -q 0 1",
    "aio_read -C 0 1",
    "aio_read -i 0 1",
    "aio_read -P x 0 1",
  ].map((command) => raw(command, "aio_flush")),
  ...[
    "aio_write -P 5 0 1",
    "aio_write -q 0 1",
    "aio_write -C 0 1",
    "aio_write -i 0 1",
    "aio_write -P x 0 1",
    "aio_write -u 0 1",
    "aio_write -zu 0 512",
  ].map((command) => raw(command, "aio_flush")),
  ...[
    "aio_write -f 0 512",
    "aio_write -zP 1 0 512",
    "aio_write -zi 0 1",
    "aio_write -i -x",
    "aio_read -i -x",
    "aio_read -x 0 1",
    "aio_flush x",
  ].map((command) => raw(command)),
  raw("aio_read 0 512"),
  raw("aio_write -P 5 0 512", "aio_flush", "read -P 5 0 512"),
];

export const DISKS: readonly string[] = [
  ...["flush", "flush x", "f", "length", "length x", "length -x", "l", "info", "info x", "i", "map", "map x", "m"].map((command) =>
    raw(command),
  ),
  ...["length", "info", "map"].map((command) => qcow2(command)),
  ...["length", "map"].map((command) => `-f qed -c ${command} disk.qed`),
  ...["length", "map", "alloc 0 1024"].flatMap((command) => [`-f raw -c '${command}' odd.raw`, `-f raw -c '${command}' empty.raw`]),
  ...["512", "2M", "1M", "x", "-m off 2M", "-m full 2M", "-m falloc 2M", "-m nonsense 2M", "-m metadata 2M", "1M 2M", "-1", "-m", ""].map(
    (words) => raw(`truncate ${words}`, "length"),
  ),
  ...["2M", "512k", "1000", "1M", "-m metadata 2M", "-m full 2M", "-m falloc 2M", "-m full 512k"].map(
    (words) => `-f qcow2 -c 'truncate ${words}' -c length new.qcow2`,
  ),
  "-f qed -c 'truncate 2M' -c length disk.qed",
  "-f qed -c 'truncate 512k' -c length disk.qed",
  ...["0 64k", "-C 0 64k", "-q 0 64k", "0", "0 x", "x 0", "0 3G", "0 2M", "0 100", "-P 1 0 512", "-C", "1M 1"].map((words) =>
    raw(`discard ${words}`),
  ),
  ...["0 64k", "128k 64k", "512k 64k", "0 1M", "100k 100k", "704k 64k"].flatMap((words) => [
    qcow2(`discard ${words}`),
    `-f qcow2 -d unmap -c 'discard ${words}' disk.qcow2`,
  ]),
  "-f raw -d unmap -c 'discard 0 64k' -c 'read -P 0 0 64k' disk.raw",
  ...["0 512", "0", "0 1M", "0 x", "x", "0 2M", "2M", "1 1", "", "-1", "0 -1", "0 1 1"].map((words) => raw(`alloc ${words}`)),
  ...["0 1M", "128k 64k", "100k 100k", "512k", "0 4G", "128k"].map((words) => qcow2(`alloc ${words}`)),
];
