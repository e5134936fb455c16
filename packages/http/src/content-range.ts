/** The field that tells which bytes of a file a response holds. */

/** `Content-Range: bytes first-last/total`; without `first` and `last` the range could not be served. RFC 9110, section 14.4. */
export interface ContentRange {
  readonly bytes: { readonly offset: number; readonly length: number } | undefined;
  /** `undefined`: the server does not know. */
  readonly total: number | undefined;
}

const FIELD = /^bytes[ \t]+(?:(\d{1,16})-(\d{1,16})|\*)\/(?:(\d{1,16})|\*)$/i;

/** `undefined` for what is no such field, contradicts itself, or has numbers of 2^53 and more. */
export function parseContentRange(field: string | undefined): ContentRange | undefined {
  const match = FIELD.exec(field?.trim() ?? "");
  if (match === null) return undefined;
  const [first, last, total] = match.slice(1).map((digits) => (digits === undefined ? undefined : Number(digits)));
  if ([first, last, total].some((number) => number !== undefined && !Number.isSafeInteger(number))) return undefined;
  if (first === undefined || last === undefined) return { bytes: undefined, total };
  if (last < first || (total !== undefined && last >= total)) return undefined;
  return { bytes: { offset: first, length: last - first + 1 }, total };
}
