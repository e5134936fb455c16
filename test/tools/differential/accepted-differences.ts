/** Where Coblock says or does something else than QEMU 7.2, and why. A line that no longer differs fails: the list can only shrink. */

/** A line of a table that may differ, in what, and why. */
export interface AcceptedDifference {
  readonly program: "qemu-img" | "qemu-io" | "qemu-nbd";
  /** All of it, or a pattern for lines of one kind, of which some may be the same. */
  readonly line: string | RegExp;
  /** What differs; all else is the same. */
  readonly parts: readonly ("exitCode" | "stdout" | "stderr" | "files")[];
  readonly why: string;
}

const NAMES = "messages of Coblock name the file, the place and the number";
const CLOSING = "a flush that fails when the image is closed is told, and ends with 1; QEMU passes over it";
const TABLES =
  "what a qcow2 image could not write is told when it is closed, in Coblock's words; tables go out with a flush, not with the write that changed them";
const INFO = "an image without cluster size is described all the same";
const TRACES = "there are no trace events, and no file for them";

const HONOURED = "a size that is asked for is the size of the new image; qemu-img passes over it";
const KEY = "the passphrase is asked for when data is read, not before; nothing else of an image needs it";
const LEFT = "what could not be made is not left behind, or not begun; qemu-img leaves an empty file";
const OPTION_LISTS = "only options that are there are told; those of the host's file are not";
const VALUES = "the value of an option is looked at before the image is told of, and named with the option";
const ALONE = "the file alone is told of, and not how it was put together";

export const ACCEPTED_DIFFERENCES: readonly AcceptedDifference[] = [
  { program: "qemu-io", line: "-f raw -c 'truncate -m metadata 2M' -c 'length' disk.raw", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f qcow2 -c 'truncate 1000' -c length new.qcow2", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f qcow2 -c 'truncate -m full 512k' -c length new.qcow2", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f qed -c 'truncate 512k' -c length disk.qed", parts: ["stderr"], why: NAMES },
  {
    program: "qemu-io",
    line: "-f raw -c 'close' -c 'open -o driver=raw,nonsense=1 disk.raw' -c 'write 512 512' disk.raw",
    parts: ["stderr"],
    why: NAMES,
  },
  {
    program: "qemu-io",
    line: "-f raw -c 'reopen -o read-only=on' -c 'write 0 512' disk.raw",
    parts: ["stdout", "stderr", "files"],
    why: "QEMU opens the image read-only and then writes to it all the same",
  },
  { program: "qemu-io", line: "-f raw .", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f qcow2 disk.raw", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f qed disk.raw", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: ".", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "--trace=file=x -f raw -c length disk.raw", parts: ["files"], why: TRACES },
  { program: "qemu-io", line: "-T enable=foo,file=x -c 'sleep 1'", parts: ["files"], why: TRACES },
  { program: "qemu-io", line: "--image-opts -c 'length' driver=raw,size=2M,file.filename=disk.raw", parts: ["stderr"], why: NAMES },
  {
    program: "qemu-io",
    line: "-f raw -c 'read 0 512' -c 'read 0 512' -c 'write 0 512' -c 'write 0 512' blkdebug:states.conf:disk.raw",
    parts: ["stderr"],
    why: CLOSING,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write 0 512' driver=blkdebug,image.filename=disk.raw,discard=unmap,inject-error.0.event=none,inject-error.0.iotype=flush",
    parts: ["exitCode", "stderr"],
    why: CLOSING,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -z 0 512' driver=blkdebug,image.filename=disk.raw,discard=unmap,inject-error.0.event=none,inject-error.0.iotype=flush",
    parts: ["exitCode", "stderr"],
    why: CLOSING,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'discard 0 512' driver=blkdebug,image.filename=disk.raw,discard=unmap,inject-error.0.event=none,inject-error.0.iotype=flush",
    parts: ["exitCode", "stderr"],
    why: CLOSING,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 7 100 100' -c 'write -z 5000 100k' -c 'read -v 96 16' driver=blkdebug,image.filename=disk.raw,nonsense=1",
    parts: ["stderr"],
    why: NAMES,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=l2_update",
    parts: ["stdout", "stderr", "files"],
    why: TABLES,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=l1_update",
    parts: ["stdout", "stderr"],
    why: TABLES,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=refblock_load",
    parts: ["stderr"],
    why: TABLES,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=write_aio",
    parts: ["stderr"],
    why: TABLES,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=flush_to_disk",
    parts: ["exitCode", "stderr"],
    why: CLOSING,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 5 0 512' -c 'flush' driver=qcow2,file.driver=blkdebug,file.image.filename=new.qcow2,file.inject-error.0.event=pwritev",
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: "the event pwritev is for read-modify-write alone",
  },
  { program: "qemu-io", line: "--image-opts -c 'info' driver=null-co", parts: ["exitCode", "stdout"], why: INFO },
  { program: "qemu-io", line: "--image-opts -c 'info' driver=null-aio,size=1M,read-zeroes=on", parts: ["exitCode", "stdout"], why: INFO },
  { program: "qemu-io", line: "--image-opts -c 'truncate 2M' driver=null-co", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "--image-opts -c 'truncate 2M' driver=null-aio,size=1M,read-zeroes=on", parts: ["stderr"], why: NAMES },
  { program: "qemu-io", line: "-f raw -c length -c info null-co://", parts: ["exitCode", "stdout"], why: INFO },
  { program: "qemu-io", line: "-f raw -c length -c info null-aio://", parts: ["exitCode", "stdout"], why: INFO },
  { program: "qemu-io", line: "--image-opts -c 'length' driver=null-co,foo=1", parts: ["stderr"], why: NAMES },
  {
    program: "qemu-io",
    line: "--object throttle-group,id=g,x-iops-total=100 --image-opts -c 'read 0 1k' -c 'read 0 1k' -c 'discard 0 1k' -c 'info' driver=throttle,throttle-group=g,file.driver=null-co",
    parts: ["exitCode", "stdout"],
    why: INFO,
  },
  {
    program: "qemu-io",
    line: "--image-opts -c 'write -P 9 0 64k' -c 'write -P 8 100 100' -c 'read -P 9 200 1k' -c 'map' driver=compress,file.driver=qcow2,file.file.filename=new.qcow2",
    parts: ["exitCode", "stdout", "files"],
    why: "a compressed cluster can be written anew",
  },
  {
    program: "qemu-io",
    line: "-c length -c 'read 0 512' -c 'write -P 4 0 512' blkverify:sparse.raw:new.qcow2",
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: "behind the prefix stand the files themselves; the format of the one to test is said by options",
  },
  { program: "qemu-nbd", line: /^-c \/dev\/(?:null|zero) /, parts: ["stderr"], why: "the kernel's reason is told, too" },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 --image-opts driver=raw", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -f qcow2 disk.raw", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -f raw .", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -l nosnap disk.qcow2", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -l snapshot.id=9 -f qcow2 disk.qcow2", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -l foo=9 -f qcow2 disk.qcow2", parts: ["stderr"], why: NAMES },
  { program: "qemu-nbd", line: "-b 127.0.0.1 -p 0 -l snapshot.foo=1 disk.qcow2", parts: ["stderr"], why: NAMES },
  {
    program: "qemu-img",
    line: /^info --image-opts driver=(?:raw,size=64k|null-co|qcow2,file\.driver=blkdebug)/,
    parts: ["stdout"],
    why: ALONE,
  },
  { program: "qemu-img", line: /^info .*file\.filename=@luks/, parts: ["exitCode", "stdout", "stderr"], why: ALONE },
  { program: "qemu-img", line: /^info --image-opts driver=raw,size=x/, parts: ["stderr"], why: NAMES },
  { program: "qemu-img", line: /@short\.qcow2|json:\{( |'|$)/, parts: ["stderr"], why: NAMES },
  {
    program: "qemu-img",
    line: /^(?:map|measure|dd|convert|compare|rebase|commit|snapshot|resize) .*@luks\.qcow2/,
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: KEY,
  },
  { program: "qemu-img", line: /^compare --object/, parts: ["exitCode"], why: "an object that cannot be made ends every command with 1" },
  {
    program: "qemu-img",
    line: /^compare (?:-s|-p) @disk\.raw/,
    parts: ["stdout"],
    why: "of two differences at one place the content is told; progress is told from what was compared",
  },
  { program: "qemu-img", line: / -o (?:help|'\?')/, parts: ["stdout", "stderr"], why: OPTION_LISTS },
  {
    program: "qemu-img",
    line: /^create .*-o \S*(?:preallocation|compression_type|compat|encryption|encrypt\.format)=/,
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: VALUES,
  },
  {
    program: "qemu-img",
    line: /^measure .*-o (?:preallocation|compat|cluster_size|refcount_bits|nonsense|lazy_refcounts|''|backing_file)/,
    parts: ["exitCode", "stdout", "stderr"],
    why: VALUES,
  },
  { program: "qemu-img", line: / -o backing_fmt=| -F qcow2 @new 1M$/, parts: ["exitCode", "stdout", "stderr", "files"], why: VALUES },
  {
    program: "qemu-img",
    line: /^create .*(?:backing_file=base\.qcow2|-b base\.qcow2) @new/,
    parts: ["stderr"],
    why: "the format of a backing file is not guessed, not even to tell it",
  },
  { program: "qemu-img", line: /^create .*-o =1 /, parts: ["stderr"], why: NAMES },
  {
    program: "qemu-img",
    line: /^(?:create|convert) .*(?:cluster_size=(?:1000|1k|1G)|table_size=(?:3|32)|preallocation=(?:metadata|full)| -c) ?/,
    parts: ["exitCode", "stderr", "files"],
    why: LEFT,
  },
  {
    program: "qemu-img",
    line: /^create .*-b file:base/,
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: "a name with file: before it is taken as seen from the image, too",
  },
  { program: "qemu-img", line: /^create (?:-f nbd|nonsense:)|^convert @disk\.raw nonsense:/, parts: ["stdout", "stderr"], why: NAMES },
  { program: "qemu-img", line: /^convert -O \S+ -o size=/, parts: ["exitCode", "stderr", "files"], why: HONOURED },
  { program: "qemu-img", line: /^convert -O qcow2 (?:-t nonsense|-B missing|-F qcow2)/, parts: ["stderr", "files"], why: LEFT },
  {
    program: "qemu-img",
    line: /^convert -O qcow2 -C @/,
    parts: ["files"],
    why: "zeros of the source are found with and without the host copying",
  },
  {
    program: "qemu-img",
    line: /^convert -O qcow2 -B base\.qcow2 -F qcow2 @top/,
    parts: ["files"],
    why: "all layers above the backing file are copied, where qemu-img looks at the top one alone",
  },
  { program: "qemu-img", line: /inject-error\.0\.event=read_aio/, parts: ["stderr"], why: NAMES },
  {
    program: "qemu-img",
    line: /^dd .*skip=/,
    parts: ["stderr", "files"],
    why: "count is how many blocks are copied, as with dd; qemu-img 7.2 copies fewer by as many as it skips",
  },
  {
    program: "qemu-img",
    line: /^dd if=@disk\.raw of=@disk\.raw/,
    parts: ["exitCode", "stderr", "files"],
    why: "an image is not copied into itself: all of it would be lost",
  },
  {
    program: "qemu-img",
    line: /^rebase (?!-u ).*-b /,
    parts: ["files"],
    why: "what the two backing files have in common is not written; qemu-img writes whole clusters",
  },
  {
    program: "qemu-img",
    line: /^bench .*(?:-s 0|-n) /,
    parts: ["exitCode", "stdout", "stderr"],
    why: "requests of no bytes are none, and the modes of the host's I/O change nothing",
  },
  { program: "qemu-img", line: /^(?:--versio|--|-T|--trace)$/, parts: ["exitCode", "stdout", "stderr"], why: TRACES },
  {
    program: "qemu-img",
    line: /^measure (?:--nonsense|-y|-f|--object|-q --size 1G)$/,
    parts: ["exitCode", "stdout", "stderr"],
    why: "an option that is not there is refused, and not answered with the help",
  },
  {
    program: "qemu-img",
    line: "info --image-opts filename=@base.qcow2",
    parts: ["exitCode", "stdout", "stderr"],
    why: "a file name without a driver is a file to be probed",
  },
  { program: "qemu-img", line: /^resize .* 8E$/, parts: ["stderr"], why: NAMES },
  {
    program: "qemu-img",
    line: "snapshot -f qcow2 -l @snapshots.qcow2",
    parts: ["exitCode", "stdout", "stderr"],
    why: "the format can be told here as in all other commands",
  },
];
