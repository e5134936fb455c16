/** What Linux can be told of a file as a whole, by `ioctl` (ioctl_iflags(2), ioctl_xfs_fsgetxattr(2)). */

import type { HostCalls } from "./host-calls.ts";

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_NOCOW_FL = 0x00800000;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_EXTSIZE = 0x00000800;
/** struct fsxattr { u32 xflags, extsize, nextents, projid, cowextsize; u8 pad[8] } */
const FSXATTR_LENGTH = 28;

/** `control` is `ioctl` with a structure, and answers its result or `-errno`. */
export function attributeCalls(control: (fd: number, request: number, structure: DataView) => number): HostCalls {
  return {
    stopCopyOnWrite(fd) {
      const flags = new DataView(new ArrayBuffer(8));
      const result = control(fd, FS_IOC_GETFLAGS, flags);
      if (result < 0) return result;
      flags.setUint32(0, withBit(flags.getUint32(0, true), FS_NOCOW_FL), true);
      return control(fd, FS_IOC_SETFLAGS, flags);
    },
    hintExtentSize(fd, length) {
      const attributes = new DataView(new ArrayBuffer(FSXATTR_LENGTH));
      const result = control(fd, FS_IOC_FSGETXATTR, attributes);
      if (result < 0) return result;
      attributes.setUint32(0, withBit(attributes.getUint32(0, true), FS_XFLAG_EXTSIZE), true);
      attributes.setUint32(4, length, true);
      return control(fd, FS_IOC_FSSETXATTR, attributes);
    },
  };
}

function withBit(flags: number, bit: number): number {
  return (flags | bit) >>> 0;
}
