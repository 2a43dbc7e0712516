/**
 * Redo against real recovery: every byte of every heap, TOAST, catalog, sequence and visibility map page, pd_checksum apart, and existence
 * and length of every file, for two far corners of the matrix; test/long has all of it.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import { MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'
import { connect, fewerMajors, majors } from '../support/oracle.ts'
import { type RecoveryCase, type ServerVariant, withRecovery } from '../support/recovery.ts'
import { checkCrash, checkRecovery } from '../support/recoverycheck.ts'
import { compareWithRecovered, redoCase } from '../support/recoveryredo.ts'
import { type Coverage, coverageTable, excusesText, missingRecords } from '../support/walcoverage.ts'

const LOGICAL: ServerVariant = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'logical' }
const BARE: ServerVariant = { checksums: false, walLogHints: false, walCompression: 'off', fullPageWrites: false, walLevel: 'replica' }

const coverage = new Map<number, Coverage>(majors().map((major) => [major, new Map()]))
afterAll(() => console.log(`${coverageTable(coverage)}\nnot expected:\n${excusesText(true)}`))

describe.each(fewerMajors('majors of recovery'))('redo equals recovery on Postgres %i', (major) => {
  const counted = coverage.get(major)!

  test('from a clean base copy, wal_level logical', () => checkRecovery(major, LOGICAL, counted))
  test('after a crash, no full pages, no checksums', () => checkCrash(major, BARE, counted))
  test('every type of record was redone', () => expect(missingRecords(counted, parsePgMajor(String(major)), true)).toEqual([]))
})

/** The comparison itself: what is wrong in one byte, one bit, one block, one file, one record must be found. */
test('a difference is found', async () => {
  await withRecovery(majors().at(-1)!, LOGICAL, {
    prepare: async (cluster) => (await connect(cluster)).script('CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, i FROM generate_series(1, 500) i'),
    run: async (cluster) => {
      await (await connect(cluster)).script(`CHECKPOINT; INSERT INTO t VALUES (0, 'x'); VACUUM t; DELETE FROM t WHERE id = 400; SELECT pg_switch_wal();
        CREATE TABLE gone (id int); INSERT INTO gone VALUES (1); CREATE SEQUENCE s; SELECT nextval('s')`)
      return { tablespaces: [] }
    },
  }, (found) => {
    const differences = (damage: (redone: Redone) => void): string[] => {
      const redone = redoTable(found)
      damage(redone)
      return compareWithRecovered(found, redone.store).differences
    }
    expect(differences(() => {})).toEqual([])
    expect(differences(({ fork }) => { fork(MAIN_FORK).pages[1]!.bytes[4000]! ^= 1 })[0]).toMatch(/block 1 byte 4000 .*relkind r.*last records/s)
    expect(differences(({ fork }) => { fork(VISIBILITYMAP_FORK).pages[0]!.bytes[24]! ^= 0x40 })[0]).toMatch(/_vm block 0 byte 24/)
    expect(differences(({ fork }) => { fork(MAIN_FORK).extend(fork(MAIN_FORK).blocks) })[0]).toMatch(/blocks, recovery has/)
    expect(differences(({ store, key }) => { store.relations.delete(key) }).join('\n')).toMatch(/recovery has it/)
    expect(differences(({ store }) => { store.fork(1663, 1, 99999, MAIN_FORK) })[0]).toMatch(/1663\/1\/99999: 0 blocks that recovery does not have/)
    expect(differences(({ store, key }) => { store.disown(parseKey(key)) })[0]).toMatch(/taken for an index, relkind r/)
  })
})

interface Redone {
  store: ReturnType<typeof redoCase>['store']
  /** The key of table t in the store. */
  key: string
  fork(number: number): NonNullable<ReturnType<Redone['store']['fork']>>
}

function redoTable(found: RecoveryCase): Redone {
  const { store } = redoCase(found)
  const tables = [...store.relations].filter(([key, { forks }]) => found.kinds.get(key) === 'r' && forks[MAIN_FORK]!.blocks === 3 && forks[VISIBILITYMAP_FORK])
  const key = tables.map(([name]) => name).sort((a, b) => parseKey(a).relNumber - parseKey(b).relNumber).at(-1)!
  return { store, key, fork: (number) => store.relations.get(key)!.forks[number]! }
}

function parseKey(key: string): { spcOid: number; dbOid: number; relNumber: number } {
  const [spcOid, dbOid, relNumber] = key.split('/').map(Number) as [number, number, number]
  return { spcOid, dbOid, relNumber }
}
