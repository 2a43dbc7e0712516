/**
 * Redo against real recovery over the matrix of settings, all majors; crashes, online backups, a promotion, a million transactions, lz4 and zstd.
 * `npm run test:all` has each case on each major; a sample has a few, and the majors of the sample.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import { connect, majors } from '../support/oracle.ts'
import { recoverUpTo, type ServerVariant, withRecovery } from '../support/recovery.ts'
import { checkBackup, checkCrash, checkRecovery, describeVariant } from '../support/recoverycheck.ts'
import { compareWithRecovered, redoCase } from '../support/recoveryredo.ts'
import { drawn } from '../support/scope.ts'
import { systemPostgres } from '../support/systempostgres.ts'
import { type Coverage, coverageTable, excusesText, missingRecords } from '../support/walcoverage.ts'
import { prepareLarge, runLarge } from '../support/walworkloadlarge.ts'

const BOTH = [true, false]
const MATRIX: ServerVariant[] = BOTH.flatMap((checksums) => BOTH.flatMap((walLogHints) => BOTH.flatMap((fullPageWrites) =>
  (['off', 'pglz'] as const).flatMap((walCompression) => (['replica', 'logical'] as const).map((walLevel) =>
    ({ checksums, walLogHints, walCompression, fullPageWrites, walLevel }))))))
/** For what does not depend on all of it. */
const CORNERS = MATRIX.filter(({ walLogHints, walCompression, walLevel }) => !walLogHints && walCompression === 'off' && walLevel === 'replica')

const coverage = new Map<number, Coverage>(majors().map((major) => [major, new Map()]))
afterAll(() => console.log(`${coverageTable(coverage)}\nnot expected:\n${excusesText(false)}`))

type Case = [name: string, check: (major: number, counted: Coverage) => Promise<void>]

/** Seed and count of rounds are those of the variant's place in the matrix. */
const ofMatrix = (variants: readonly ServerVariant[], what: string, check: (variant: ServerVariant, seed: number, ...of: Parameters<Case[1]>) => Promise<void>): Case[] =>
  variants.map((variant) => [`${what}${describeVariant(variant)}`, (...of) => check(variant, MATRIX.indexOf(variant) + 1, ...of)])

const CASES: Case[] = [
  ...ofMatrix(MATRIX, '', (variant, seed, major, counted) => checkRecovery(major, variant, counted, { seed, rounds: 1 + seed % 3 })),
  ...ofMatrix(CORNERS, 'crashed: ', (variant, seed, major, counted) => checkCrash(major, variant, counted, seed)),
  ...ofMatrix(CORNERS, 'online backup: ', (variant, seed, major, counted) => checkBackup(major, variant, counted, seed)),
  ...[0.31, 0.57, 0.83].map((share): Case => [`at a share of ${share} of the WAL`, (major, counted) =>
    checkRecovery(major, CORNERS[0]!, counted, { seed: Math.round(share * 100) }, { share })]),
  ['a database that is copied from one that is not there', checkMissingDatabase],
  ['a promotion in the middle', async (major, counted) => {
    await checkRecovery(major, CORNERS[0]!, counted, { promotes: true })
    expect(counted.get('XLOG END_OF_RECOVERY')?.applied).toBeGreaterThan(0)
  }],
  ['a million transactions', async (major, counted) => {
    await checkRecovery(major, CORNERS[3]!, counted, { xids: 1_100_000, rounds: 3 })
    expect(counted.get('CLOG TRUNCATE')?.applied).toBeGreaterThan(0)
  }],
  ...ofMatrix([CORNERS[0]!, CORNERS[3]!], 'a visibility map of two pages: ', (variant, _, major) =>
    withRecovery(major, variant, { prepare: prepareLarge, run: runLarge }, (found) => {
      const result = compareWithRecovered(found, redoCase(found).store)
      expect(result.differences).toEqual([])
      expect(result.pages).toBeGreaterThan(32_000)
    })),
]

describe.each(majors())('redo equals recovery on Postgres %i', (major) => {
  const counted = coverage.get(major)!
  const names = drawn(CASES.map(([name]) => name), 3, `cases of recovery on ${major}`)

  test.each(CASES.filter(([name]) => names.includes(name)))('%s', (_, check) => check(major, counted))

  test.runIf(names.length === CASES.length)('every type of record was redone', () => {
    expect(missingRecords(counted, parsePgMajor(String(major)), false)).toEqual([])
  })
})

function checkMissingDatabase(major: number): Promise<void> {
  const variant = CORNERS[0]!
  return withRecovery(major, { ...variant, recover: false }, {
    prepare: async (cluster) => (await connect(cluster)).exec('CREATE DATABASE source'),
    run: async (cluster) => {
      await (await connect(cluster)).exec(`CREATE DATABASE copy TEMPLATE source ${major === 14 ? '' : 'STRATEGY file_copy'}`)
      return { tablespaces: [] }
    },
  }, async (found) => {
    expect(redoCase(found).records).toBeGreaterThan(3)
    const dir = readdirSync(join(found.base, 'base')).sort((a, b) => Number(a) - Number(b)).at(-1)!
    rmSync(join(found.base, 'base', dir), { recursive: true })
    expect(() => redoCase(found)).toThrow(`database ${dir} in tablespace 1663 is to be copied, but its directory does not exist`)
    await expect(recoverUpTo(found.end, found.base, found.wal, variant)).rejects.toThrow(/PANIC: {2}missing directory "base\/\d+"/)
  })
}

const binDir = systemPostgres()
test.skipIf(binDir === undefined).each(drawn(['lz4', 'zstd'] as const, 1, 'compressed images'))('images compressed with %s', async (walCompression) => {
  const counted: Coverage = new Map()
  await checkRecovery(15, { ...CORNERS[0]!, walCompression }, counted, {}, { binDir: binDir! })
  expect(counted.get(`~ image ${walCompression} with hole`)?.applied).toBeGreaterThan(100)
})
