/** Combinations of choices of which every two that can come together do so at least once. */

/** The choices of each dimension, by its name. */
type Dimensions = Readonly<Record<string, readonly unknown[]>>;

/** One choice of each dimension. */
export type Combination<Choices extends Dimensions> = { readonly [Name in keyof Choices]: Choices[Name][number] };

/** Takes, again and again, the combination with most pairs that have not come up; the first of equals, so that the list is always the same. */
export function allPairs<Choices extends Dimensions>(
  choices: Choices,
  isPossible: (combination: Combination<Choices>) => boolean,
): readonly Combination<Choices>[] {
  const candidates = product(choices)
    .filter((combination) => isPossible(combination))
    .map((combination) => ({ combination, pairs: pairsOf(choices, combination) }));
  const missing = new Set(candidates.flatMap(({ pairs }) => pairs));
  const taken: Combination<Choices>[] = [];
  while (missing.size > 0) {
    let best: { readonly candidate: (typeof candidates)[number]; readonly count: number } | undefined;
    for (const candidate of candidates) {
      const count = candidate.pairs.filter((pair) => missing.has(pair)).length;
      if (best === undefined || count > best.count) best = { candidate, count };
    }
    if (best === undefined) break;
    for (const pair of best.candidate.pairs) missing.delete(pair);
    taken.push(best.candidate.combination);
  }
  return taken;
}

function product<Choices extends Dimensions>(choices: Choices): readonly Combination<Choices>[] {
  let partial: readonly Readonly<Record<string, unknown>>[] = [{}];
  for (const [name, values] of Object.entries(choices))
    partial = partial.flatMap((combination) => values.map((value) => ({ ...combination, [name]: value })));
  return partial as readonly Combination<Choices>[];
}

/** A number for each two choices. */
function pairsOf<Choices extends Dimensions>(choices: Choices, combination: Combination<Choices>): readonly number[] {
  const numbers: number[] = [];
  let first = 0;
  for (const [name, values] of Object.entries(choices)) {
    numbers.push(first + values.indexOf(combination[name]));
    first += values.length;
  }
  return numbers.flatMap((one, index) => numbers.slice(index + 1).map((other) => one * first + other));
}
