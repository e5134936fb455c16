/** What two runs may not have in common: how long they took. */

/** Times, rates and the steps of progress stand as names; all else stays. */
export function withoutTimes(text: string): string {
  return text
    .replace(/(?: {4}\(\d+\.\d\d\/100%\)\r)+/g, "PROGRESS\r")
    .replace(/^Run completed in [\d.]+ seconds\.$/gm, "Run completed in TIME.")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "DATE")
    .replace(/; (?:\d+:)*\d\d\.\d\d(?: sec)? \([^)]*\)/g, "; TIME")
    .replace(/^(\d+,\d+),\d+:\d\d:\d\d\.\d\d,[\d.]+,[\d.]+$/gm, "$1,TIME");
}

/** Help is in our own words: what may follow a command stays, what it says of it does not. */
export function withoutSummaries(text: string): string {
  return text.replace(/^([a-z_]+ .*?) ?-- .*$/gm, "$1 -- SUMMARY");
}
