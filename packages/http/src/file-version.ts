/** Which state of a file the server has: bytes of two states are never mixed. */

import type { IncomingHttpHeaders } from "node:http";

/** RFC 9110, section 8.8: an entity tag, else the date of the last change. */
export interface FileVersion {
  readonly size: number;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** What an answer says of the file that it is a part of. */
export function versionOf(size: number, headers: IncomingHttpHeaders): FileVersion {
  return { size, etag: headers.etag, lastModified: headers["last-modified"] };
}

/** Fields that make a server refuse (412) when it has another state. A weak tag never matches there; answers are compared all the same. */
export function conditionsOf({ etag, lastModified }: FileVersion): Readonly<Record<string, string>> {
  if (isStrong(etag)) return { "if-match": etag };
  return lastModified === undefined ? {} : { "if-unmodified-since": lastModified };
}

/** What tells that an answer is of another state than `known`, in words; `undefined`: nothing does. A strong tag alone decides. */
export function changeOf(known: FileVersion, found: FileVersion): string | undefined {
  if (known.size !== found.size) return `its size was ${known.size} bytes and is ${found.size}`;
  if (known.etag !== found.etag) return `its ETag was ${shown(known.etag)} and is ${shown(found.etag)}`;
  if (!isStrong(known.etag) && known.lastModified !== found.lastModified)
    return `its Last-Modified was ${shown(known.lastModified)} and is ${shown(found.lastModified)}`;
  return undefined;
}

function isStrong(etag: string | undefined): etag is string {
  return etag?.startsWith('"') === true;
}

function shown(field: string | undefined): string {
  return field === undefined ? "not given" : field.slice(0, 80);
}
