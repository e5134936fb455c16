/** What `qemu-nbd --help` prints. */

export const NBD_HELP = `Usage: qemu-nbd [OPTIONS] FILE
  or:  qemu-nbd -L [OPTIONS]
Serves a disk to NBD clients, or lists what a server has

Where:
  -c, --connect=DEV         a device of the kernel: /dev/nbd0
  -d, --disconnect          FILE is such a device: take its disk away
  -k, --socket=PATH         a Unix socket; the path begins with a slash
  -p, --port=PORT           TCP, which is the default (10809)
  -b, --bind=ADDRESS        the address to listen on (0.0.0.0)
  -e, --shared=NUM          clients at one time (1); further ones wait; 0: any
  -t, --persistent          go on when the last client has left
  --fork                    return when clients can come; the server goes on
  --pid-file=PATH           write the server's process ID there
  -v, --verbose             tell who comes and goes

What:
  -f, --format=FORMAT       the format of the image
  --image-opts              FILE is a list of options, driver=raw,...
  --object OBJECTDEF        make an object that options name: secret,
                            throttle-group, tls-creds-x509, tls-creds-psk,
                            authz-simple, authz-list, authz-list-file
  -x, --export-name=NAME    the name that clients ask for ("")
  -D, --description=TEXT    words for whoever reads the list
  -o, --offset=OFFSET       the disk begins at this byte of the image
  -r, --read-only           clients only read
  -s, --snapshot            keep changes in an overlay that is thrown away
  -l, --load-snapshot=NAME  the disk as a snapshot inside the image has it, or
                            snapshot.id=ID,snapshot.name=NAME
  -A, --allocation-depth    tell which layer of the chain holds what
  -B, --bitmap=NAME         tell what a dirty bitmap holds
  --tls-creds=ID            TLS for all, with an object's credentials
  --tls-authz=ID            of those, only clients that an object allows

How:
  -n, --nocache             --cache=none
  --cache=MODE              none, writeback, writethrough, directsync, unsafe
  --aio=MODE                threads, native or io_uring
  --discard=MODE            ignore or unmap
  --detect-zeroes=MODE      off, on or unmap: writes of zeros become zeros

  -L, --list                list the exports of a server
  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]
                            trace events; there are none
  -h, --help                print this
  -V, --version             print the version

  --tls-hostname=NAME       --list: what the certificate must be for

Not there: --selinux-label
`;
