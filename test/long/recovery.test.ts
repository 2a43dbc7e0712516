/**
 * Redo against real recovery over the matrix of settings, all majors; crashes, online backups, a promotion, a million transactions, lz4 and zstd.
 * The majors share the matrix between them: each case on one or more of them. LTAP_TEST_MATRIX=full runs each on every one, in about an hour.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import { connect, majors } from '../support/oracle.ts'
import { recoverUpTo, type ServerVariant, withRecovery } from '../support/recovery.ts'
import { checkBackup, checkCrash, checkRecovery, describeVariant } from '../support/recoverycheck.ts'
import { compareWithRecovered, redoCase } from '../support/recoveryredo.ts'
import { systemPostgres } from '../support/systempostgres.ts'
import { type Coverage, coverageTable, excusesText, missingRecords } from '../support/walcoverage.ts'
import { prepareLarge, runLarge } from '../support/walworkloadlarge.ts'

const BOTH = [true, false]
const MATRIX: ServerVariant[] = BOTH.flatMap((checksums) => BOTH.flatMap((walLogHints) => BOTH.flatMap((fullPageWrites) =>
  (['off', 'pglz'] as const).flatMap((walCompression) => (['replica', 'logical'] as const).map((walLevel) =>
    ({ checksums, walLogHints, walCompression, fullPageWrites, walLevel }))))))
/** For what does not depend on all of it. */
const CORNERS = MATRIX.filter(({ walLogHints, walCompression, walLevel }) => !walLogHints && walCompression === 'off' && walLevel === 'replica')

/** The cases whose turn it is on a major. */
function turn<T>(cases: readonly T[], major: number, turns: number): T[] {
  return cases.filter((_, i) => process.env['LTAP_TEST_MATRIX'] === 'full' || i % turns === major % turns)
}

const named = (variants: readonly ServerVariant[]): [string, ServerVariant, number][] =>
  variants.map((variant) => [describeVariant(variant), variant, MATRIX.indexOf(variant) + 1])

const coverage = new Map<number, Coverage>(majors().map((major) => [major, new Map()]))
afterAll(() => console.log(`${coverageTable(coverage)}\nnot expected:\n${excusesText(false)}`))

describe.each(majors())('redo equals recovery on Postgres %i', (major) => {
  const counted = coverage.get(major)!

  test.each(named(turn(MATRIX, major, 5)))('%s', (_, variant, seed) =>
    checkRecovery(major, variant, counted, { seed, rounds: 1 + seed % 3 }))

  test.each(named(turn(CORNERS, major, 2)))('crashed: %s', (_, variant, seed) =>
    checkCrash(major, variant, counted, seed))

  test.each(named(turn(CORNERS, major, 2)))('online backup: %s', (_, variant, seed) =>
    checkBackup(major, variant, counted, seed))

  test.each(turn([0.31, 0.57, 0.83], major, 3))('at a share of %d of the WAL', (share) =>
    checkRecovery(major, CORNERS[0]!, counted, { seed: Math.round(share * 100) }, { share }))

  test('a database that is copied from one that is not there', async () => {
    const variant = CORNERS[0]!
    await withRecovery(major, { ...variant, recover: false }, {
      prepare: async (cluster) => (await connect(cluster)).exec('CREATE DATABASE source'),
      run: async (cluster) => {
        await (await connect(cluster)).exec(`CREATE DATABASE copy TEMPLATE source ${major === 14 ? '' : 'STRATEGY file_copy'}`)
        return { tablespaces: [] }
      },
    }, async (found) => {
      expect(redoCase(found).records).toBeGreaterThan(3)
      const dir = readdirSync(join(found.base, 'base')).sort((a, b) => Number(a) - Number(b)).at(-1)!
      rmSync(join(found.base, 'base', dir), { recursive: true })
      expect(() => redoCase(found)).toThrow(`database ${dir} in tablespace 1663 is to be copied, and its directory does not exist`)
      await expect(recoverUpTo(found.end, found.base, found.wal, variant)).rejects.toThrow(/PANIC: {2}missing directory "base\/\d+"/)
    })
  })

  test('a promotion in the middle', async () => {
    await checkRecovery(major, CORNERS[0]!, counted, { promotes: true })
    expect(counted.get('XLOG END_OF_RECOVERY')?.applied).toBeGreaterThan(0)
  })

  test('a million transactions', async () => {
    await checkRecovery(major, CORNERS[3]!, counted, { xids: 1_100_000, rounds: 3 })
    expect(counted.get('CLOG TRUNCATE')?.applied).toBeGreaterThan(0)
  })

  test.each(turn([CORNERS[0]!, CORNERS[3]!], major, 2))('a visibility map of two pages (%#)', async (variant) => {
    await withRecovery(major, variant, { prepare: prepareLarge, run: runLarge }, (found) => {
      const result = compareWithRecovered(found, redoCase(found).store)
      expect(result.differences).toEqual([])
      expect(result.pages).toBeGreaterThan(32_000)
    })
  })

  test('every type of record was redone', () => expect(missingRecords(counted, parsePgMajor(String(major)), false)).toEqual([]))
})

const binDir = systemPostgres()
test.skipIf(binDir === undefined).each(['lz4', 'zstd'] as const)('images compressed with %s', async (walCompression) => {
  const counted: Coverage = new Map()
  await checkRecovery(15, { ...CORNERS[0]!, walCompression }, counted, {}, { binDir: binDir! })
  expect(counted.get(`~ image ${walCompression} with hole`)?.applied).toBeGreaterThan(100)
})
