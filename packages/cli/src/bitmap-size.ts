/** Room for the persistent bitmaps of a qcow2 image in a copy of it. */

/** Bytes of a directory entry without its name; entries are padded to 8 bytes (qcow2 spec, "Bitmap directory"). */
const DIRECTORY_ENTRY_LENGTH = 24;
const TABLE_ENTRY_LENGTH = 8;

/** `bitmaps` as the format's information lists them. All of each bitmap is reckoned as stored. */
export function bitmapBytes(
  bitmaps: unknown,
  { diskSize, clusterSize }: { readonly diskSize: number; readonly clusterSize: number },
): number {
  if (!Array.isArray(bitmaps)) return 0;
  const toCluster = (bytes: number): number => Math.ceil(bytes / clusterSize) * clusterSize;
  let total = 0;
  let directoryLength = 0;
  for (const { name, granularity } of bitmaps as ReadonlyArray<{ readonly name: string; readonly granularity: number }>) {
    const bytes = toCluster(Math.ceil(Math.ceil(diskSize / granularity) / 8));
    total += bytes + toCluster((bytes / clusterSize) * TABLE_ENTRY_LENGTH);
    directoryLength += Math.ceil((DIRECTORY_ENTRY_LENGTH + Buffer.byteLength(name)) / 8) * 8;
  }
  return total + toCluster(directoryLength);
}
