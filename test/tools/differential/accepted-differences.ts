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
const TRACES = "there are no trace events, and no file for them";

const LEFT = "what could not be made is not left behind, or not begun; qemu-img leaves an empty file";
const LINE_END = "the hint ends with the end of its line";
const NO_PLACE = "an NBD export is no place to make an image in";
const COUNT = "count is how many blocks are copied, as with dd; qemu-img 7.2 copies fewer by as many as it skips";
const COMMON = "what the two backing files have in common is not written, to the byte; qemu-img writes whole clusters";

export const ACCEPTED_DIFFERENCES: readonly AcceptedDifference[] = [
  {
    program: "qemu-io",
    line: "-f raw -c 'reopen -o read-only=on' -c 'write 0 512' disk.raw",
    parts: ["stdout", "stderr", "files"],
    why: "QEMU opens the image read-only and then writes to it all the same",
  },
  { program: "qemu-io", line: "--trace=file=x -f raw -c length disk.raw", parts: ["files"], why: TRACES },
  { program: "qemu-io", line: "-T enable=foo,file=x -c 'sleep 1'", parts: ["files"], why: TRACES },
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
  { program: "qemu-img", line: / @short\.qcow2$/, parts: ["stderr"], why: NAMES },
  { program: "qemu-img", line: /json:\{(?: |'|$)/, parts: ["stderr"], why: NAMES },
  { program: "qemu-img", line: "create -f qcow2 -o backing_file=base.qcow2 @new", parts: ["stderr"], why: LINE_END },
  { program: "qemu-img", line: "create -f qed -o backing_file=base.qcow2 @new", parts: ["stderr"], why: LINE_END },
  { program: "qemu-img", line: "create -f qcow2 -b base.qcow2 @new", parts: ["stderr"], why: LINE_END },
  { program: "qemu-img", line: "create -f raw -o preallocation=metadata @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o preallocation=metadata @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o cluster_size=1000 @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o table_size=3 @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o table_size=32 @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o cluster_size=1k @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "create -f qed -o cluster_size=1G @new 1M", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "convert -O qcow2 -t nonsense @disk.raw @new", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "convert -O qcow2 -B missing -F raw @disk.raw @new", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "convert -O raw -o preallocation=metadata @disk.raw @new", parts: ["files"], why: LEFT },
  { program: "qemu-img", line: "convert -O qed -o table_size=3 @disk.raw @new", parts: ["files"], why: LEFT },
  {
    program: "qemu-img",
    line: "create -f qcow2 -b file:base.qcow2 -F qcow2 @new",
    parts: ["exitCode", "stdout", "stderr", "files"],
    why: "a name with file: before it is taken as seen from the image, too",
  },
  { program: "qemu-img", line: "create -f nbd @new 1M", parts: ["stdout", "stderr"], why: NO_PLACE },
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
  {
    program: "qemu-img",
    line: "info --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=@luks.qcow2",
    parts: ["exitCode", "stdout", "stderr"],
    why: "a secret that is named must be there, also where nothing is read",
  },
  {
    program: "qemu-img",
    line: /^(?:--versio|--ver|-Vx?|-V x|-T x -V)$/,
    parts: ["stdout"],
    why: "the version is Coblock's own, and says so",
  },
  {
    program: "qemu-img",
    line: "convert -O qcow2 -C @disk.raw @new",
    parts: ["files"],
    why: "zeros of the source are found with and without the host copying",
  },
  {
    program: "qemu-img",
    line: "convert -O qcow2 -B base.qcow2 -F qcow2 @top.qcow2 @new",
    parts: ["files"],
    why: "all layers above the backing file are copied, where qemu-img looks at the top one alone",
  },
  { program: "qemu-img", line: "dd if=@disk.raw of=@new bs=1000 skip=1 count=5", parts: ["files"], why: COUNT },
  { program: "qemu-img", line: "dd if=@disk.raw of=@new bs=1k skip=1000 count=100", parts: ["stderr", "files"], why: COUNT },
  { program: "qemu-img", line: "dd if=@disk.raw of=@new bs=64k count=2 skip=4", parts: ["stderr", "files"], why: COUNT },
  {
    program: "qemu-img",
    line: "dd if=@disk.raw of=@disk.raw bs=64k count=1",
    parts: ["exitCode", "stderr", "files"],
    why: "an image is not copied into itself: all of it would be lost",
  },
  { program: "qemu-img", line: "rebase -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -b base.qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -b disk.raw -F raw @middle.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -b base.qcow2 -F raw @middle.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -t none -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -T none -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -f qcow2 -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -U -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  { program: "qemu-img", line: "rebase -p -b base.qcow2 -F qcow2 @top.qcow2", parts: ["files"], why: COMMON },
  {
    program: "qemu-img",
    line: "rebase -b base.qcow2 -F qcow2 @v2.qcow2",
    parts: ["files"],
    why: "zeros that version 2 cannot say are written; qemu-img 7.2 leaves them out, and the new backing file shows through",
  },
  {
    program: "qemu-img",
    line: "compare -s @disk.raw @base.qcow2",
    parts: ["stdout"],
    why: "of two differences at one place the content is told",
  },
  {
    program: "qemu-img",
    line: "snapshot -a one @disk.raw",
    parts: ["stderr"],
    why: "of a format that was guessed there is one warning, and not one each time that the image is opened",
  },
];
