/** The drivers and filters that command lines of qemu-io name. */

import { by, pairs, raw } from "./qemu-io-lines.ts";

const A = "blkdebug::disk.raw";

export const BLKDEBUG: readonly string[] = [
  ...["nonsense A", "write_aio A", "write_aio", "flush_to_disk A"].map((words) => `-f raw -c 'break ${words}' -c 'remove_break A' ${A}`),
  `-f raw -c 'resume A' ${A}`,
  `-f raw -c 'break write_aio A' -c 'aio_write 0 512' -c 'wait_break A' -c 'resume A' -c aio_flush ${A}`,
  `-f raw -c 'break write_aio A' -c 'aio_write 0 512' -c 'wait_break A' -c 'remove_break A' -c aio_flush ${A}`,
  `-f raw -c 'break write_aio A' -c 'break write_aio B' -c 'aio_write 0 512' -c 'wait_break A' -c 'resume B' -c 'resume A' -c aio_flush ${A}`,
  "-f qcow2 -c 'break l2_load A' -c 'aio_write -P 5 0 512' -c 'wait_break A' -c 'resume A' -c aio_flush blkdebug::disk.qcow2",
  "-f qcow2 -c 'break cow_write A' -c 'aio_write -P 5 0 512' -c 'wait_break A' -c 'resume A' -c aio_flush blkdebug::disk.qcow2",
  raw("break x y"),
  raw("resume y"),
  raw("remove_break y"),
  raw("break x"),
  "-f raw -c 'read 0 512' -c 'read 0 512' -c 'write 0 512' -c 'write 0 512' blkdebug:states.conf:disk.raw",
  "-f raw -c 'read 0 512' -c 'read 1k 1k' -c 'read 0 1M' blkdebug:sector.conf:disk.raw",
  ...["section", "nothing", "event", "no-event", "option", "number", "type", "state", "blank", "missing"].map(
    (name) => `-f raw -c 'read 0 512' blkdebug:${name}.conf:disk.raw`,
  ),
  "-f raw blkdebug:disk.raw",
  "-f raw blkdebug::missing",
  "blkdebug::disk.qcow2 -c length -c info",
  ...["length", "info", "read 0 512"].map((command) => by("driver=blkdebug,image.filename=disk.qcow2", command)),
  by("driver=raw,file.driver=blkdebug,file.image.filename=disk.raw,file.inject-error.0.event=read_aio", "read 0 512", "write 0 512"),
  ...pairs(["write", "read", "write-zeroes", "discard", "flush", "block-status"], [""]).flatMap((type) =>
    ["read 0 512", "write 0 512", "write -z 0 512", "discard 0 512", "map"].map((command) =>
      by(`driver=blkdebug,image.filename=disk.raw,discard=unmap,inject-error.0.event=none,inject-error.0.iotype=${type}`, command),
    ),
  ),
  ...[1, 2, 5, 12, 22, 28, 95, 0].map((errno) =>
    by(`driver=blkdebug,image.filename=disk.raw,inject-error.0.event=none,inject-error.0.errno=${errno}`, "read 0 512"),
  ),
  ...["once=on", "sector=1", "immediately=on", "state=2", "foo=1", "iotype=nonsense"].map((option) =>
    by(`driver=blkdebug,image.filename=disk.raw,inject-error.0.event=none,inject-error.0.${option}`, "read 0 512", "read 512 512"),
  ),
  ...[
    "align=4096",
    "align=1000",
    "align=512,max-transfer=1000",
    "align=512,max-transfer=1024",
    "opt-write-zero=4096,max-write-zero=64k",
    "align=4G",
    "nonsense=1",
  ].map((options) => by(`driver=blkdebug,image.filename=disk.raw,${options}`, "write -P 7 100 100", "write -z 5000 100k", "read -v 96 16")),
  ...["align=512,opt-write-zero=1000", "align=512,max-write-zero=1000", "align=512,opt-discard=1000", "align=512,max-discard=1000"].map(
    (options) => by(`driver=blkdebug,image.filename=disk.raw,${options}`, "length"),
  ),
  by("driver=blkdebug", "length"),
  by("driver=blkdebug,image.filename=disk.raw,config=missing", "length"),
  by("driver=blkdebug,image.filename=disk.raw,inject-error.0.errno=5", "length"),
  by("driver=blkdebug,image.filename=disk.raw,inject-error.0.event=nonsense", "length"),
  ...[
    "l2_load",
    "l2_update",
    "l1_update",
    "cluster_alloc",
    "refblock_load",
    "write_aio",
    "cow_read",
    "cow_write",
    "flush_to_disk",
    "pwritev",
  ].map((event) =>
    by(`driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=${event}`, "write -P 5 0 512", "flush"),
  ),
];

export const OTHER_DRIVERS: readonly string[] = [
  ...[
    "info",
    "map",
    "length",
    "read -v 0 16",
    "read -P 0 0 16",
    "write 0 512",
    "write -z 0 512",
    "discard 0 512",
    "flush",
    "truncate 2M",
    "alloc 0",
  ].flatMap((command) => [by("driver=null-co", command), by("driver=null-aio,size=1M,read-zeroes=on", command)]),
  ...["null-co://", "null-aio://"].map((name) => `-f raw -c length -c info ${name}`),
  by("driver=null-co,latency-ns=1000000", "read 0 512"),
  by("driver=null-co,latency-ns=-1", "length"),
  by("driver=null-co,foo=1", "length"),
  `--object throttle-group,id=g,x-bps-total=1000000 ${by("driver=throttle,throttle-group=g,file.driver=raw,file.file.filename=disk.raw", "read -v 0 16", "write -P 5 0 64k", "length", "map")}`,
  `--object throttle-group,id=g,x-iops-total=100 ${by("driver=throttle,throttle-group=g,file.driver=null-co", "read 0 1k", "read 0 1k", "discard 0 1k", "info")}`,
  by("driver=throttle,throttle-group=g,file.driver=null-co", "length"),
  by("driver=throttle,file.driver=null-co", "length"),
  ...["x-bps-total=1,x-bps-read=1", "x-bps-total-max=1", "x-bps-total=2,x-bps-total-max=1", "x-bps-total=1M"].map(
    (options) => `--object throttle-group,id=g,${options} -c 'sleep 1'`,
  ),
  by(
    "driver=copy-on-read,file.driver=qcow2,file.file.filename=disk.qcow2",
    "read 0 1k",
    "read -P 1 250k 1k",
    "write -P 9 0 512",
    "length",
    "map",
  ),
  by("driver=copy-on-read,read-only=on,file.driver=qcow2,file.file.filename=disk.qcow2", "read 0 1k"),
  by("driver=compress,file.driver=qcow2,file.file.filename=new.qcow2", "write -P 9 0 64k", "write -P 8 100 100", "read -P 9 200 1k", "map"),
  by("driver=compress,file.driver=raw,file.file.filename=disk.raw", "length"),
  by("driver=raw,file.driver=preallocate,file.file.filename=disk.raw", "truncate 2M", "write -P 9 1M 512", "length", "read -P 9 1M 512"),
  by("driver=qcow2,file.driver=preallocate,file.prealloc-size=1M,file.file.filename=new.qcow2", "write -P 9 0 128k", "length"),
  ...["prealloc-align=100", "prealloc-align=1M", "prealloc-size=64k"].map((option) =>
    by(`driver=raw,file.driver=preallocate,file.${option},file.file.filename=disk.raw`, "write -P 9 0 512"),
  ),
  by("driver=blkverify,raw.filename=disk.raw,test.driver=raw,test.file.filename=disk.raw", "length"),
  by(
    "driver=blkverify,raw.filename=sparse.raw,test.driver=qcow2,test.file.filename=new.qcow2",
    "read 0 1k",
    "write -P 9 0 64k",
    "read -P 9 0 1k",
    "info",
  ),
  "-c length -c 'read 0 512' -c 'write -P 4 0 512' blkverify:sparse.raw:new.qcow2",
  ...[
    "vote-threshold=2",
    "vote-threshold=1",
    "vote-threshold=0",
    "vote-threshold=3",
    "read-pattern=fifo,vote-threshold=1",
    "blkverify=on,vote-threshold=2",
  ].map((options) =>
    by(
      `driver=quorum,${options},children.0.driver=raw,children.0.file.filename=sparse.raw,children.1.driver=qcow2,children.1.file.filename=new.qcow2`,
      "read 0 1k",
      "write -P 9 0 64k",
      "read -P 9 0 64k",
      "length",
      "flush",
    ),
  ),
  by(
    "driver=quorum,vote-threshold=2,rewrite-corrupted=on,children.0.driver=raw,children.0.file.filename=sparse.raw,children.1.driver=qcow2,children.1.file.filename=new.qcow2,children.2.driver=raw,children.2.file.filename=disk.raw",
    "read 0 1k",
    "read -P 0 512 512",
  ),
];
