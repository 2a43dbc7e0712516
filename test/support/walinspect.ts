/** pg_walinspect (15+), and our records in its form. */
import { formatWalPosition, parseLsn, walPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { rmgrName } from '../../src/wal/rmgr.ts'
import { describeRecord, recordType } from '../../src/wal/text/describe.ts'
import { dumpRecord, imagesLength } from '../../src/wal/waldump.ts'
import { expect } from 'vitest'
import type { Session } from './oracle.ts'

/** What begins in a range: one object, refilled. */
export function* records(dir: string, start: string, end: string): Generator<WalRecord> {
  const source = openWal(dir, { start: walPosition(parseLsn(start)!) })
  for (let record = source.read(); record !== undefined && record.startLsn < walPosition(parseLsn(end)!); record = source.read()) yield record
  source.close()
}

/** Every record in a range as the server sees it, its times in UTC. */
export async function walinspect(sql: Session, start: string, end: string): Promise<(string | null)[][]> {
  return sql.rows(`SELECT start_lsn, end_lsn, prev_lsn, xid, resource_manager, record_type, record_length, main_data_length, fpi_length,
    coalesce(description, ''), trim(coalesce(block_ref, '')) FROM pg_get_wal_records_info($1, $2)`, [start, end])
}

/** The same of a record that we read. */
export function walinspectRow(record: WalRecord, major: PgMajor): string[] {
  const blocks = dumpRecord(record, major, true).split('\n').slice(1, -1).map((line) => line.slice(1)).join(' ')
  return [
    ...[record.startLsn, record.endLsn, record.prev].map(formatWalPosition), String(record.xid), rmgrName(record.rmgr),
    recordType(record.rmgr, record.info, major), ...[record.length, record.mainLength, imagesLength(record)].map(String),
    serverTimes(describeRecord(record, major)), blocks,
  ]
}

/** Servers print times otherwise than pg_waldump, and before 2000 rightly: there it cuts the seconds towards zero. */
function serverTimes(text: string): string {
  return text.replace('1999-12-31 23:59:59.-500000 UTC', '1999-12-31 23:59:58.500000 UTC')
    .replace(/(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{6}) UTC/g, (_all, seconds, micros) => `${seconds}${`.${micros}`.replace(/\.?0+$/, '')}+00`)
}

/**
 * Compares all records of a range that begins before and ends now; on 14 they are only described.
 * @returns the kinds of records, `Heap/INSERT`
 */
export async function compareWithWalinspect(major: PgMajor, sql: Session, dir: string, start: string): Promise<Set<string>> {
  const end = (await sql.value('SELECT pg_current_wal_flush_lsn()'))!
  const expected = major >= 15 ? await walinspect(sql, start, end) : []
  const types = new Set<string>()
  let count = 0
  for (const record of records(dir, start, end)) {
    types.add(`${rmgrName(record.rmgr)}/${recordType(record.rmgr, record.info, major)}`)
    const row = walinspectRow(record, major)
    // Rows are compared one by one: a diff of all would take minutes.
    if (major >= 15 && JSON.stringify(row) !== JSON.stringify(expected[count])) expect(row).toEqual(expected[count])
    count++
  }
  if (major >= 15) expect(count).toBe(expected.length)
  console.log(`Postgres ${major}: ${count} records of ${types.size} types`)
  return types
}
