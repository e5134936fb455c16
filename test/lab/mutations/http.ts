/** What protects reads over HTTP, switched off one at a time. */

import type { Mutation } from "../mutations.ts";

const REMOTE_FILE = "http/src/remote-file.ts";
const PAGE_CACHE = "http/src/page-cache.ts";

export const HTTP_MUTATIONS: readonly Mutation[] = [
  {
    name: "http-version-not-compared",
    about: "answers of another state of the file are taken",
    scenario: "http-changed",
    by: "exhaustive",
    edits: [
      {
        file: REMOTE_FILE,
        find: "    const change = changeOf(this.#version, found);\n",
        replace: "    const change = changeOf(found, found);\n",
      },
    ],
    found: /wrong: .* answers other bytes than the file had when it was opened/,
  },
  {
    name: "http-page-given-early",
    about: "a page whose bytes are on their way counts as one that is here",
    scenario: "http-windows",
    by: "random",
    edits: [
      {
        file: PAGE_CACHE,
        find: "    await untilAborted(settled(pages), signal);\n",
        replace: "    await untilAborted(settled(pages.slice(0, 1)), signal);\n",
      },
    ],
    found: /a page that was waited for is there/,
  },
  {
    name: "http-rest-from-start",
    about: "after a connection that broke the whole range is asked for again, behind what has arrived",
    scenario: "http-windows",
    by: "random",
    edits: [{ file: REMOTE_FILE, find: "range: `bytes=${target.offset + target.filled}-", replace: "range: `bytes=${target.offset}-" }],
    found: /where .* were asked for/,
  },
];
