/**
 * How much of the tests one run does. The npm scripts set LTAP_TEST_SCOPE:
 *
 *     npm test               quick   every file outside test/long, on the majors 14 and 18; under 10 minutes
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
 * `npm test` leaves out test/long, so there `amount` needs no `quick`. A sample has at most 16 files of test/long, and 5 others on its majors
 * (testfiles.ts). A test that takes over a minute in `quick`, over two in `sample`, is listed at the end of the run. No test has
 * a time limit of its own.
 *
 * Some files by hand, whatever the scope: `npx vitest run test/long/fuzz` in the size of `quick`, with LTAP_TEST_SCOPE=sample in that one's;
 * LTAP_TEST_MAJORS=18 and LTAP_TEST_SEED=<n> choose further.
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
 * `count` of the items in their order, by the seed of the run; all of them in scope `all`. `what` names them in what it prints, and gives lists draws
 * that do not depend on each other; `print` names one. Each seed draws each item with the same chance, and items / count successive seeds (rounded
 * up, counted from a multiple of that) draw all of them. CI takes the number of the commit.
 */
export function drawn<T>(items: readonly T[], count: number, what = 'items', print: (item: T) => string = printed): T[] {
  if (SCOPE === 'all' || count >= items.length) return [...items]
  const chosen = drawnIndexes(items.length, count, TEST_SEED, what).map((i) => items[i]!)
  console.info(`seed ${TEST_SEED} draws ${count} of ${items.length} ${what}: ${chosen.map(print).join('; ')}`)
  return chosen
}

/** In each round of successive seeds the list is shuffled and cut into pieces; a seed has one of them. */
export function drawnIndexes(length: number, count: number, seed: number, what: string): number[] {
  if (count >= length) return Array.from({ length }, (_, i) => i)
  const seeds = Math.ceil(length / count)
  const random = new Random([...what].reduce((hash, letter) => Math.imul(hash, 31) + letter.codePointAt(0)!, Math.imul(Math.floor(seed / seeds), 0x9e3779b1) + length))
  const order = shuffled(length, random)
  const piece = shuffled(seeds, random)[seed % seeds]!
  return Array.from({ length: count }, (_, i) => order[(piece * count + i) % length]!).sort((a, b) => a - b)
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
