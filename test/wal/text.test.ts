/** What records say, against what real servers and pg_waldump say of them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPositioned } from '../../src/common/errors.ts'
import { hexDecode } from '../../src/common/bytes.ts'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import { parsePgMajor, type PgMajor } from '../../src/common/pgversion.ts'
import { WalRecord } from '../../src/wal/record.ts'
import { isRmgrValid, RMGR_NAMES, rmgrName } from '../../src/wal/rmgr.ts'
import { describeRecord, recordType } from '../../src/wal/text/describe.ts'
import { generalNumber } from '../../src/wal/text/parts.ts'
import { timeText } from '../../src/wal/text/time.ts'
import { dumpRecord } from '../../src/wal/waldump.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { compareWithWalinspect, records, walinspect, walinspectRow } from '../support/walinspect.ts'
import { recordOf } from '../support/walrecord.ts'
import { WAL_TEXT_SETTINGS, writeTexts } from '../support/waltexts.ts'

describe.each(majors())('Postgres %i', (major) => {
  test(major === 14 ? 'every record is described' : 'every record is described as pg_walinspect does it', async () => {
    await withCluster(major, { settings: WAL_TEXT_SETTINGS }, async (cluster, sql) => {
      if (major >= 15) await sql.exec('CREATE EXTENSION pg_walinspect')
      const start = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
      await writeTexts(cluster)
      const types = await compareWithWalinspect(major as PgMajor, sql, join(cluster.dataDir, 'pg_wal'), start)
      expect(types.size).toBeGreaterThan(45)
    })
  })

  test('a promotion', async () => {
    await withCluster(major, {}, async (cluster, sql) => {
      if (major >= 15) await sql.exec('CREATE EXTENSION pg_walinspect')
      const start = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
      await closeSessions(cluster)
      await cluster.stop()
      writeFileSync(join(cluster.dataDir, 'standby.signal'), '')
      await cluster.start()
      const promoted = await connect(cluster)
      expect(await promoted.value('SELECT pg_promote()')).toBe('t')
      await promoted.exec('CHECKPOINT')
      const end = (await promoted.value('SELECT pg_current_wal_flush_lsn()'))!
      const rows: string[][] = []
      for (const record of records(join(cluster.dataDir, 'pg_wal'), start, end)) rows.push(walinspectRow(record, major as PgMajor))
      const [recovered] = rows.filter((row) => row[5] === 'END_OF_RECOVERY')
      expect(recovered?.[9]).toMatch(major >= 17 ? /^tli 2; prev tli 1; time [-0-9]+ [.:0-9]+\+00; wal_level replica$/ : /^tli 2; prev tli 1; time [-0-9]+ [.:0-9]+\+00$/)
      if (major < 15) return
      // The oracle reads one timeline.
      const oracle = await walinspect(promoted, recovered![0]!, end)
      expect(rows.slice(rows.indexOf(recovered!))).toEqual(oracle)
    })
  })
})

/** Records and the lines that pg_waldump of their major printed; see fixtures/README.md. */
const FIXTURES = join(import.meta.dirname, '../../fixtures/waldump')

test.each(readdirSync(FIXTURES).filter((name) => name.endsWith('.jsonl')))('lines of pg_waldump in %s', (name) => {
  const lines = readFileSync(join(FIXTURES, name), 'utf8').trimEnd().split('\n')
  const major = parsePgMajor(name.replace('.jsonl', ''))
  const record = new WalRecord()
  const printed = lines.map((text) => {
    const { lsn, end, hex } = JSON.parse(text) as { lsn: string; end: string; hex: string }
    const bytes = hexDecode(hex)
    record.decode(bytes, new DataView(bytes.buffer), 0, walPosition(parseLsn(lsn)!), walPosition(parseLsn(end)!), major)
    return dumpRecord(record, major).trimEnd()
  })
  expect(printed).toEqual(lines.map((text) => (JSON.parse(text) as { line: string }).line.trimEnd()))
  expect(lines.length).toBeGreaterThan(100)
})

/** What no workload makes; formats as in clogdesc.c, committsdesc.c, mxactdesc.c, xactdesc.c, xlogdesc.c, rmgrdesc.c of pg_waldump. */
test.each([
  [14, 3, 0x10, words(7, 726, 5), 'TRUNCATE', 'page 7; oldestXact 726'],
  [17, 3, 0x10, words(7, 0, 726, 5), 'TRUNCATE', 'page 7; oldestXact 726'],
  [16, 18, 0x10, words(9, 800), 'TRUNCATE', 'pageno 9, oldestXid 800'],
  [18, 18, 0x10, words(9, 0, 800), 'TRUNCATE', 'pageno 9, oldestXid 800'],
  [18, 6, 0x00, words(3, 0), 'ZERO_OFF_PAGE', '3'],
  [18, 6, 0x30, words(5, 1, 900, 2, 1800), 'TRUNCATE_ID', 'offsets [1, 900), members [2, 1800)'],
  [16, 0, 0xd0, words(0x1bb3b18, 0, 0, 0), 'OVERWRITE_CONTRECORD', 'lsn 0/1BB3B18; time 2000-01-01 00:00:00.000000 UTC'],
  [14, 1, 0xa0, words(0, 0, 0), 'ABORT', '2000-01-01 00:00:00.000000 UTC'],
  [15, 1, 0x80, words(0, 0, 0xa0000000), 'COMMIT', '2000-01-01 00:00:00.000000 UTC; apply_feedback; sync'],
  [14, 1, 0x80, words(0, 0, 0xa0000000), 'COMMIT', '2000-01-01 00:00:00.000000 UTC; sync'],
  [18, 200, 0x50, words(1), 'UNKNOWN (50)', 'rmid: 200'],
  [18, 10, 0x90, words(), 'UNKNOWN (90)', undefined],
  [18, 0, 0xf0, words(), 'UNKNOWN (f0)', ''],
] as const)('Postgres %i, resource manager %i, info %i', (major, rmgr, info, main, type, text) => {
  const record = recordOf({ rmgr, info, main, xid: 9 })
  expect(recordType(rmgr, info, major)).toBe(type)
  if (text !== undefined) expect(describeRecord(record, major)).toBe(text)
})

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer)
}

test('damaged records are described or refused', () => {
  const all = ([14, 15, 16, 18] as const).flatMap((major) => readFileSync(join(FIXTURES, `${major}.jsonl`), 'utf8').trimEnd().split('\n')
    .map((line) => ({ major, bytes: hexDecode((JSON.parse(line) as { hex: string }).hex) })))
  const outcomes = { described: 0, refused: 0 }
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 })
  fc.assert(fc.property(fc.constantFrom(...all), changes, fc.option(fc.nat()), ({ major, bytes }, changed, cut) => {
    const damaged = bytes.slice(0, cut === null ? bytes.length : 24 + (cut % (bytes.length - 23)))
    for (const [at, byte] of changed) if (damaged.length > 24) damaged[24 + (at % (damaged.length - 24))] = byte
    const view = new DataView(damaged.buffer)
    view.setUint32(0, damaged.length, true)
    const record = new WalRecord()
    try {
      record.decode(damaged, view, 0, 0x1000028, 0x1000028 + damaged.length, major)
      expect(dumpRecord(record, major)).toMatch(/^rmgr: /)
      outcomes.described++
    } catch (error) {
      if (!isPositioned(error)) throw error
      expect(error.position.lsn).toBe('0/1000028')
      outcomes.refused++
    }
  }), { numRuns: 5000 })
  expect(Math.min(outcomes.described, outcomes.refused)).toBeGreaterThan(100)
})

describe('parts', () => {
  test('resource managers', () => {
    expect(RMGR_NAMES.length).toBe(22)
    expect([0, 21, 22, 127, 128, 255].map((id) => [isRmgrValid(id, 14), isRmgrValid(id, 15)])).toEqual([
      [true, true], [true, true], [false, false], [false, false], [false, true], [false, true],
    ])
    expect([rmgrName(10), rmgrName(128), recordType(128, 0x30, 18), recordType(10, 0x90, 18)]).toEqual(['Heap', 'custom128', 'UNKNOWN (30)', 'UNKNOWN (90)'])
  })

  test('times, in every month and around leap days', () => {
    const days = [0, 31, 58, 59, 60, 365, 366, 36_524, 36_525, 146_096, 146_097, -1, -366, 9_000_000]
    for (let day = -800; day < 1500; day += 29) days.push(day)
    for (const day of days) {
      const text = new Date(Date.UTC(2000, 0, 1) + day * 86_400_000).toISOString().replace(/^\+0*/, '')
      expect(timeText(BigInt(day) * 86_400_000_000n)).toBe(`${text.slice(0, -14)} 00:00:00.000000 UTC`)
    }
    expect(timeText(123_456_789_012_345n)).toBe('2003-11-29 21:33:09.012345 UTC')
  })

  // printf "%g" of these.
  test.each([
    [0, '0'], [1, '1'], [300, '300'], [123456, '123456'], [1234567, '1.23457e+06'], [999999.5, '1e+06'], [0.5, '0.5'], [0.0001, '0.0001'], [0.00001234, '1.234e-05'],
    [1e100, '1e+100'], [100, '100'], [-2.5, '-2.5'], [Infinity, 'inf'], [NaN, 'nan'],
  ])('%d as %s', (value, text) => {
    expect(generalNumber(value)).toBe(text)
  })
})
