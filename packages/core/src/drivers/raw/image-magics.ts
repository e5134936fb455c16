/** How the formats begin that programs recognise by their content: a fixed list, for another program may open the file next. */

interface Magic {
  readonly format: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The numbers that QEMU 7.2 probes for, whichever formats are registered here. */
const MAGICS: readonly Magic[] = [
  magic("qcow2", "QFI\xfb"),
  magic("qed", "QED\0"),
  magic("vmdk", "KDMV"),
  magic("vmdk", "COWD"),
  magic("vpc", "conectix"),
  magic("vhdx", "vhdxfile"),
  magic("vdi", "\x7f\x10\xda\xbe", 64),
  magic("luks", "LUKS\xba\xbe"),
  magic("parallels", "WithoutFreeSpace"),
  magic("parallels", "WithouFreSpacExt"),
  magic("bochs", "Bochs Virtual HD Image"),
  magic("cloop", "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"),
  magic("vmdk", "# Disk DescriptorFile"),
];

/** Its format, if the sector (512 bytes) is the beginning of something else than a raw disk. */
export function formatOfFirstSector(sector: Uint8Array): string | undefined {
  const found = MAGICS.find(({ offset, bytes }) => bytes.every((byte, index) => sector[offset + index] === byte));
  if (found !== undefined) return found.format;
  return mayBeVmdkDescriptor(sector) ? "vmdk" : undefined;
}

/**
 * A VMDK descriptor is text: comments and empty lines, then "version=" 1 to 3. A sector of nothing but comments leaves it open what
 * follows in the next, which some programs look at: that counts as one.
 */
function mayBeVmdkDescriptor(sector: Uint8Array): boolean {
  const text = Buffer.from(sector.buffer, sector.byteOffset, sector.byteLength).toString("latin1");
  const rest = text.replace(/^(?:#[^\n]*\n|\r?\n)*/, "");
  return rest === "" || rest === "\r" || (rest.startsWith("#") && !rest.includes("\n")) || /^version=[123]\r?\n/.test(rest);
}

function magic(format: string, bytes: string, offset = 0): Magic {
  return { format, offset, bytes: Buffer.from(bytes, "latin1") };
}
