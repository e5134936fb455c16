/** What `qemu-io --help` prints. */

export const IO_HELP = `Usage: qemu-io [OPTIONS]... [-c STRING]... [file]
Sends requests to the disk in an image and tells what became of them

  --object OBJECTDEF   make an object that options name, such as a
                       'throttle-group'
  --image-opts         the file is a list of options, driver=raw,...
  -c, --cmd STRING     run this command; may be given more than once
  -f, --format FMT     the format of the image
  -r, --read-only      only read
  -s, --snapshot       keep changes in an overlay that is thrown away
  -n, --nocache        -t none
  -C, --copy-on-read   keep what is read from backing files
  -m, --misalign       nothing: memory is aligned as it comes
  -k, --native-aio     -i native
  -i, --aio=MODE       threads, native or io_uring
  -t, --cache=MODE     none, writeback, unsafe, writethrough or directsync
  -d, --discard=MODE   ignore or unmap
  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]
                       trace events; there are none
  -U, --force-share    open it although another process has it open
  -h, --help           print this
  -V, --version        print the version

See 'qemu-io -c help' for the commands.
`;
