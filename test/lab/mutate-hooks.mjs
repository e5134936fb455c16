/** The loader's own thread: changes the text of the mutated files, and of nothing else. */

/** @type {readonly { readonly file: string, readonly find: string, readonly replace: string }[]} */
let edits = [];

/** @param {{ readonly edits: typeof edits }} mutation */
export function initialize(mutation) {
  edits = mutation.edits;
}

/** @type {import("node:module").LoadHook} */
export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  const own = edits.filter(({ file }) => new URL(url).pathname.endsWith(`/packages/${file}`));
  if (own.length === 0) return loaded;
  let source = String(loaded.source);
  for (const { file, find, replace } of own) {
    const parts = source.split(find);
    if (parts.length !== 2) throw new Error(`the mutation of ${file} fits ${parts.length - 1} times, and must fit once: ${find}`);
    source = parts.join(replace);
  }
  return { ...loaded, source };
}
