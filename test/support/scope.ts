/**
 * How much of the tests one run does. The npm scripts set LTAP_TEST_SCOPE:
 *
 *     npm test               quick   every file outside test/long, on the majors 14, 17 and 18; under 10 minutes
 *     npm run test:sample    sample  test/long with small counts, on two majors and on lists that the commit draws; under 15 minutes
 *     npm run test:all       all     every file, every major, every item, full counts; hours
 *
 * A test says what each scope has, and nothing is ever missing from `all`:
 *
 *     const CASES = amount({ quick: 200, sample: 2_000, all: 100_000 })
 *     describe.each(majors())('…', …)                                // majors() minds the scope by itself
 *     test.each(drawn(MATRIX, 4, 'recovery settings'))('%o', …)      // 4 of them; in `all` each
 *     new Random(TEST_SEED)                                          // everything random begins with the seed of the run
 *
 * A file in test/long does not run in `quick`: its `amount` may leave `quick` out. A file elsewhere does not run in `sample`.
 * One file by hand: LTAP_TEST_SCOPE=sample npx vitest run test/long/fuzz (LTAP_TEST_MAJORS=18 and LTAP_TEST_SEED=<n> choose further).
 */
import { Random, TEST_SEED } from './random.ts'
import { parseScope, type Scope } from './scopename.ts'

/** Scope of this run. */
export const SCOPE: Scope = parseScope(process.env['LTAP_TEST_SCOPE'] ?? 'quick')

/** The count (or size, or list) of this run's scope. Without `quick`: the one of `sample`, for a file of test/long that is run by hand. */
export function amount<T>(of: { quick?: T, sample: T, all: T }): T {
  return SCOPE === 'quick' ? of.quick ?? of.sample : of[SCOPE]
}

/**
 * `count` of the items in their order, by the seed of the run; all of them in scope `all`. `what` names them in what it prints, and lets lists of
 * equal length have draws of their own. Successive seeds (CI takes the number of the commit) draw each item equally often, and each at least once
 * in items / count seeds, rounded up.
 */
export function drawn<T>(items: readonly T[], count: number, what = 'items'): T[] {
  if (SCOPE === 'all' || count >= items.length) return [...items]
  const chosen = drawnIndexes(items.length, count, TEST_SEED, what).map((i) => items[i]!)
  console.info(`seed ${TEST_SEED} draws ${count} of ${items.length} ${what}: ${chosen.map(printed).join('; ')}`)
  return chosen
}

/** A window of a shuffled list; with each seed it moves on by its own length, around the end to the beginning. */
export function drawnIndexes(length: number, count: number, seed: number, what: string): number[] {
  const order = shuffled(length, new Random([...what].reduce((hash, letter) => Math.imul(hash, 31) + letter.codePointAt(0)!, length)))
  const start = Number((BigInt(seed) * BigInt(count)) % BigInt(length))
  return Array.from({ length: count }, (_, i) => order[(start + i) % length]!).sort((a, b) => a - b)
}

function shuffled(length: number, random: Random): number[] {
  const order = Array.from({ length }, (_, i) => i)
  for (let i = length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

function printed(item: unknown): string {
  return typeof item === 'object' ? JSON.stringify(item) : String(item)
}
