/** Records of transactions and of the cluster: bytes of real servers, then every record of live ones. docs/formats/wal-record.md has the headers before them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { CLOG_TRUNCATE, CLOG_ZEROPAGE, decodeClogTruncate, decodeClogZeroPage } from '../../src/wal/clog.ts'
import { COMMIT_TS_TRUNCATE, COMMIT_TS_ZEROPAGE, decodeCommitTsTruncate, decodeCommitTsZeroPage } from '../../src/wal/committs.ts'
import { decodeDbase } from '../../src/wal/dbase.ts'
import {
  decodeMultiXactCreate, decodeMultiXactTruncate, decodeMultiXactZeroPage, multiXactMemberStatus, multiXactMemberXid, XLOG_MULTIXACT_CREATE_ID,
  XLOG_MULTIXACT_TRUNCATE_ID, XLOG_MULTIXACT_ZERO_MEM_PAGE, XLOG_MULTIXACT_ZERO_OFF_PAGE,
} from '../../src/wal/multixact.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { decodeRelmapUpdate, XLOG_RELMAP_UPDATE } from '../../src/wal/relmap.ts'
import {
  decodeRunningXacts, decodeStandbyInvalidations, decodeStandbyLocks, XLOG_INVALIDATIONS, XLOG_RUNNING_XACTS, XLOG_STANDBY_LOCK,
} from '../../src/wal/standby.ts'
import { decodeTblspcCreate, decodeTblspcDrop, XLOG_TBLSPC_CREATE, XLOG_TBLSPC_DROP } from '../../src/wal/tblspc.ts'
import {
  decodeAssignment, decodePrepare, decodeXactInvalidations, XactEnd, XLOG_XACT_ASSIGNMENT, XLOG_XACT_INVALIDATIONS, XLOG_XACT_OPMASK,
  XLOG_XACT_PREPARE,
} from '../../src/wal/xact.ts'
import {
  decodeBackupEnd, decodeCheckPoint, decodeCheckpointRedo, decodeEndOfRecovery, decodeFpwChange, decodeNextOid, decodeOverwriteContrecord,
  decodeParameterChange, decodeRestorePoint, XLOG_BACKUP_END, XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_REDO, XLOG_CHECKPOINT_SHUTDOWN,
  XLOG_END_OF_RECOVERY, XLOG_FPW_CHANGE, XLOG_NEXTOID, XLOG_OVERWRITE_CONTRECORD, XLOG_PARAMETER_CHANGE, XLOG_RESTORE_POINT,
} from '../../src/wal/xlog.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { recordOf } from '../support/walrecord.ts'
import { forEachRecord, readControl } from '../xact/walrange.ts'

const RM = { xlog: 0, xact: 1, clog: 3, dbase: 4, tblspc: 5, multixact: 6, relmap: 7, standby: 8, committs: 18 }
const bytes = (hex: string): Uint8Array => hexDecode(hex.replaceAll(/[ |]/g, ''))
const text = (value: Uint8Array): string => new TextDecoder().decode(value)

function endOf(info: number, hex: string, major: PgMajor, xid = 0): XactEnd {
  const end = new XactEnd()
  end.decode(recordOf({ rmgr: RM.xact, info, main: bytes(hex), xid }), major)
  return end
}

/** Decodes a record of our resource managers, whatever it is; undefined if none of them describes its main data. */
function decodeAny(record: WalRecord, major: PgMajor): unknown {
  const { rmgr, op } = record
  const decoders: Record<number, Record<number, () => unknown>> = {
    [RM.xlog]: {
      [XLOG_CHECKPOINT_SHUTDOWN]: () => decodeCheckPoint(record, major), [XLOG_CHECKPOINT_ONLINE]: () => decodeCheckPoint(record, major),
      [XLOG_NEXTOID]: () => decodeNextOid(record), [XLOG_BACKUP_END]: () => decodeBackupEnd(record),
      [XLOG_PARAMETER_CHANGE]: () => decodeParameterChange(record), [XLOG_RESTORE_POINT]: () => decodeRestorePoint(record),
      [XLOG_FPW_CHANGE]: () => decodeFpwChange(record), [XLOG_END_OF_RECOVERY]: () => decodeEndOfRecovery(record, major),
      [XLOG_OVERWRITE_CONTRECORD]: () => decodeOverwriteContrecord(record), [XLOG_CHECKPOINT_REDO]: () => decodeCheckpointRedo(record),
    },
    [RM.clog]: { [CLOG_ZEROPAGE]: () => decodeClogZeroPage(record, major), [CLOG_TRUNCATE]: () => decodeClogTruncate(record, major) },
    [RM.tblspc]: { [XLOG_TBLSPC_CREATE]: () => decodeTblspcCreate(record), [XLOG_TBLSPC_DROP]: () => decodeTblspcDrop(record) },
    [RM.multixact]: {
      [XLOG_MULTIXACT_ZERO_OFF_PAGE]: () => decodeMultiXactZeroPage(record, major),
      [XLOG_MULTIXACT_ZERO_MEM_PAGE]: () => decodeMultiXactZeroPage(record, major),
      [XLOG_MULTIXACT_CREATE_ID]: () => decodeMultiXactCreate(record), [XLOG_MULTIXACT_TRUNCATE_ID]: () => decodeMultiXactTruncate(record),
    },
    [RM.relmap]: { [XLOG_RELMAP_UPDATE]: () => decodeRelmapUpdate(record) },
    [RM.standby]: {
      [XLOG_STANDBY_LOCK]: () => decodeStandbyLocks(record), [XLOG_RUNNING_XACTS]: () => decodeRunningXacts(record),
      [XLOG_INVALIDATIONS]: () => decodeStandbyInvalidations(record),
    },
    [RM.committs]: {
      [COMMIT_TS_ZEROPAGE]: () => decodeCommitTsZeroPage(record, major), [COMMIT_TS_TRUNCATE]: () => decodeCommitTsTruncate(record, major),
    },
  }
  if (rmgr === RM.dbase) return decodeDbase(record, major)
  if (rmgr === RM.xact) return decodeXact(record, major)
  return decoders[rmgr]?.[op]?.()
}

function decodeXact(record: WalRecord, major: PgMajor): unknown {
  const op = record.info & XLOG_XACT_OPMASK
  if (op === XLOG_XACT_PREPARE) return decodePrepare(record, major)
  if (op === XLOG_XACT_ASSIGNMENT) return decodeAssignment(record)
  if (op === XLOG_XACT_INVALIDATIONS) return decodeXactInvalidations(record)
  const end = new XactEnd()
  end.decode(record, major)
  return end
}

describe('bytes of real servers', () => {
  test('commit', () => {
    const end = endOf(0x80, 'fb182ad7be030300 | 01000000 | 00400000 7f060000', 15, 803)
    expect(end).toMatchObject({ op: 0, committed: true, xid: 803, xinfo: 1, dbOid: 16384, spcOid: 1663, subxactCount: 0, relfileCount: 0 })
    expect(end.time).toBe(0x303bed72a18fbn)
    expect(end.origin).toBeUndefined()
  })

  test('commit of a prepared transaction', () => {
    const end = endOf(0xb0, `809c7fd7be030300 | d3000000 | 00400000 7f060000 | 01000000 1a030000 | 19030000 | ${hexEncode(new TextEncoder().encode('gid-one\0'))}`, 15)
    expect(end).toMatchObject({ committed: true, xid: 0x319, subxactCount: 1, gidLength: 7, dbOid: 16384 })
    expect(end.subxact(0)).toBe(0x31a)
  })

  test('commit of DROP DATABASE: dropped statistics come before the messages', () => {
    const hex = `fb182ad7be030300 | 09010080 | 05000000 7f060000 | 01000000 01000000 73400000 00000000 | 02000000 ${'00'.repeat(32)}`
    const end = endOf(0x80, hex, 15, 900)
    expect(end).toMatchObject({ statsCount: 1, invalidationCount: 2, xinfo: 0x80000109 })
    expect(end.droppedStats(0)).toEqual({ kind: 1, dbOid: 16499, objectId: 0n })
    expect(() => endOf(0x80, hex, 18, 900)).toThrow(CorruptionError)
    expect(() => endOf(0x80, hex, 14, 900)).toThrow(/xinfo/)
  })

  test('abort, and the origin of a replicated commit, unaligned', () => {
    expect(endOf(0x20, '79272ad7be030300', 15, 7)).toMatchObject({ committed: false, xinfo: 0, xid: 7 })
    const gid = hexEncode(new TextEncoder().encode('ab\0'))
    const end = endOf(0xb0, `809c7fd7be030300 | b0000000 | 19030000 | ${gid} | 1122334455667700 8877665544332200`, 16)
    expect(end.origin).toEqual({ lsn: 0x77665544332211n, time: 0x22334455667788n })
  })

  test.each([
    ['too short', 0x80, 'fb182ad7be030300 | 01000000 | 00400000'],
    ['too long', 0x20, '79272ad7be030300 00'],
    ['an unknown bit', 0x80, 'fb182ad7be030300 | 00020000'],
    ['messages in an abort', 0xa0, 'fb182ad7be030300 | 08000000 | 00000000'],
    ['prepared without its xid', 0xb0, 'fb182ad7be030300 | 00000000'],
    ['a gid that does not end', 0xb0, '809c7fd7be030300 | 90000000 | 19030000 | 616263'],
    ['a negative count', 0x80, 'fb182ad7be030300 | 02000000 | ffffffff'],
    ['a huge count', 0x80, 'fb182ad7be030300 | 02000000 | ffffff7f 01000000'],
  ])('%s is corruption, with the LSN', (_, info, hex) => {
    const attempt = (): unknown => endOf(info, hex, 17, 5)
    expect(attempt).toThrow(CorruptionError)
    expect(attempt).toThrow(/lsn 0\/1000028/)
  })

  test('CLOG pages: int up to 16, int64 since 17', () => {
    expect(decodeClogZeroPage(recordOf({ rmgr: RM.clog, info: 0, main: bytes('01000000') }), 15)).toBe(1)
    expect(decodeClogZeroPage(recordOf({ rmgr: RM.clog, info: 0, main: bytes('0100000000000000') }), 18)).toBe(1)
    expect(() => decodeClogZeroPage(recordOf({ rmgr: RM.clog, info: 0, main: bytes('01000000') }), 18)).toThrow(CorruptionError)
    expect(() => decodeClogZeroPage(recordOf({ rmgr: RM.clog, info: 0, main: bytes('ffffffff') }), 16)).toThrow(CorruptionError)
  })

  test('multixact', () => {
    const record = recordOf({ rmgr: RM.multixact, info: 0x20, main: bytes('01000000 01000000 02000000 | f1020000 01000000 | f2020000 03000000') })
    const create = decodeMultiXactCreate(record)
    expect(create).toMatchObject({ multi: 1, memberOffset: 1, memberCount: 2 })
    expect([0, 1].map((i) => [multiXactMemberXid(record, create, i), multiXactMemberStatus(record, create, i)])).toEqual([[753, 1], [754, 3]])
    const bad = recordOf({ rmgr: RM.multixact, info: 0x20, main: bytes('01000000 01000000 01000000 | f1020000 06000000') })
    expect(() => decodeMultiXactCreate(bad)).toThrow(/status 6/)
  })

  test('assignment of one subtransaction at wal_level logical', () => {
    expect(decodeAssignment(recordOf({ rmgr: RM.xact, info: 0x50, main: bytes('6a030000 01000000 6b030000') }))).toEqual({ topXid: 874, subxacts: [875] })
  })

  test('DBASE: the same opcode is DROP in 14 and CREATE_WAL_LOG since 15', () => {
    const drop = recordOf({ rmgr: RM.dbase, info: 0x10, main: bytes('73400000 01000000 7f060000') })
    expect(decodeDbase(drop, 14)).toEqual({ kind: 'drop', dbOid: 16499, spcOids: [1663] })
    expect(() => decodeDbase(drop, 15)).toThrow(CorruptionError)
    expect(decodeDbase(recordOf({ rmgr: RM.dbase, info: 0x10, main: bytes('73400000 7f060000') }), 15)).toEqual({ kind: 'create-wal-log', dbOid: 16499, spcOid: 1663 })
    expect(() => decodeDbase(recordOf({ rmgr: RM.dbase, info: 0x20, main: bytes('') }), 14)).toThrow(UnsupportedError)
  })
})

const WORKLOAD = `
  CREATE TABLE a (i int); INSERT INTO a VALUES (1); VACUUM FULL pg_class; SELECT pg_create_restore_point('here it is');
  CREATE DATABASE d1; DROP DATABASE d1; DROP TABLE a; CHECKPOINT;
  CREATE TABLE b (i int primary key, t text); BEGIN; LOCK TABLE b; ALTER TABLE b ADD c int; PREPARE TRANSACTION 'ltap gid';
  COMMIT PREPARED 'ltap gid'; BEGIN; CREATE TABLE c (t text); DROP TABLE b; PREPARE TRANSACTION 'second'; ROLLBACK PREPARED 'second'`

describe.each(majors())('Postgres %i', (major) => {
  test('every record is consumed exactly and says what was done', async () => {
    const settings = { wal_level: 'logical', track_commit_timestamp: 'on', wal_keep_size: '100MB', min_wal_size: '32MB' }
    await withCluster(major, { settings }, async (server, sql) => {
      const start = await sql.value('SELECT redo_lsn FROM pg_control_checkpoint()')
      const place = await server.makeDir('space')
      await sql.script(`CREATE TABLESPACE ts LOCATION '${place}'; CREATE TABLE e (i int) TABLESPACE ts; DROP TABLE e`)
      const spcOid = Number(await sql.value(`SELECT oid FROM pg_tablespace WHERE spcname = 'ts'`))
      await sql.script('DROP TABLESPACE ts')
      await sql.script(WORKLOAD)
      if (major >= 15) await sql.script('CREATE DATABASE d2 STRATEGY file_copy')
      const backup = await sql.value(major >= 15 ? `SELECT pg_backup_start('b', true)` : `SELECT pg_start_backup('b', true, false)`)
      await sql.exec(major >= 15 ? 'SELECT pg_backup_stop(false)' : 'SELECT pg_stop_backup(false, false)')
      await sql.script('ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf(); CHECKPOINT')
      await sql.exec(`BEGIN; ${Array.from({ length: 66 }, (_, i) => `SAVEPOINT s${i}; INSERT INTO b VALUES (${i});`).join(' ')} COMMIT`)
      await closeSessions(server)
      await server.stop()
      await server.start({ max_connections: '77' })
      await (await connect(server)).exec('CREATE TABLE f (i int)')
      await closeSessions(server)
      await server.stop()

      const seen = new Map<string, unknown[]>()
      const fuzz: { record: WalRecord; main: Uint8Array }[] = []
      const end = forEachRecord(server.dataDir, major, parseLsn(start!)!, (record) => {
        const decoded = decodeAny(record, major as PgMajor)
        if (decoded === undefined) return
        const key = `${record.rmgr}/${(record.info & (record.rmgr === RM.xact ? XLOG_XACT_OPMASK : 0xf0)).toString(16)}`
        seen.set(key, [...(seen.get(key) ?? []), decoded])
        if (fuzz.length < 400) {
          const main = record.bytes.slice(record.mainStart, record.mainStart + record.mainLength)
          fuzz.push({ record: recordOf({ ...pick(record), main }), main })
        }
      })
      expect(end).toBeGreaterThan(Number(readControl(server.dataDir, major).checkpoint))
      const wanted = ['0/0', '0/10', '0/30', '0/50', '0/60', '0/70', '0/80', '1/0', '1/10', '1/30', '1/40', '1/50', '1/60', '5/0', '5/10', '7/0', '8/0', '8/10']
      for (const key of [...wanted, ...(major >= 17 ? ['0/e0'] : []), ...(major >= 15 ? ['4/0', '4/10', '4/20'] : ['4/0', '4/10'])]) {
        expect(seen.has(key), `${key}; seen: ${[...seen.keys()].join(' ')}`).toBe(true)
      }
      expect((seen.get('0/70') as { name: Uint8Array }[]).map(({ name }) => text(name))).toEqual(['here it is'])
      expect(seen.get('0/50')).toEqual([walPosition(parseLsn(backup!)!)])
      expect(seen.get('0/60')!.at(-1)).toMatchObject({ maxConnections: 77, walLevel: 2, trackCommitTimestamp: true, maxPreparedXacts: 10 })
      expect(seen.get('0/80')).toEqual([false])
      expect(seen.get('5/0')).toMatchObject([{ oid: spcOid }])
      expect(text((seen.get('5/0') as { path: Uint8Array }[])[0]!.path)).toBe(place)
      expect(seen.get('5/10')).toEqual([spcOid])
      const prepares = seen.get('1/10') as ReturnType<typeof decodePrepare>[]
      expect(prepares.map(({ gid }) => text(gid))).toEqual(['ltap gid', 'second'])
      // Dropped at commit: the table, its TOAST table and its index; created, so dropped at abort: the table with TOAST and its index.
      expect(prepares[1]).toMatchObject({ commitRelfiles: { length: 4 }, abortRelfiles: { length: 3 } })
      expect(prepares[1]!.commitStats.length).toBe(major >= 15 ? 4 : 0)
      const relmaps = seen.get('7/0') as { bytes: Uint8Array }[]
      expect(new Set(relmaps.map((update) => update.bytes.length))).toEqual(new Set([major >= 16 ? 524 : 512]))
      expect((seen.get('1/50') as { subxacts: number[] }[]).flatMap(({ subxacts }) => subxacts).length).toBeGreaterThanOrEqual(64)
      // The first one is initdb's.
      for (const ckpt of [...seen.get('0/0')!.slice(1), ...seen.get('0/10')!]) expect(ckpt).toMatchObject({ walLevel: major >= 17 ? 2 : undefined, thisTimeline: 1 })
      damage(fuzz, major as PgMajor)
    })
  })
})

const pick = ({ rmgr, info, xid, startLsn }: WalRecord): { rmgr: number; info: number; xid: number; startLsn: number } => ({ rmgr, info, xid, startLsn })

/** Cut, extended or changed anywhere: an error of ours with the LSN, or a record that decodes; nothing else. */
function damage(records: { record: WalRecord; main: Uint8Array }[], major: PgMajor): void {
  expect(records.length).toBeGreaterThan(50)
  const decodes = (record: WalRecord): boolean => {
    try {
      decodeAny(record, major)
      return true
    } catch (error) {
      if (error instanceof CorruptionError) expect(error.message).toMatch(/lsn /)
      else expect(error).toBeInstanceOf(UnsupportedError)
      return false
    }
  }
  fc.assert(fc.property(fc.nat(records.length - 1), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean(), (which, at, value, cut) => {
    const { record, main } = records[which]!
    if (main.length === 0) return
    const i = at % main.length
    const changed = cut ? main.slice(0, i) : main.slice()
    if (!cut) changed[i] = value
    const ok = decodes(recordOf({ ...pick(record), main: changed }))
    // Nothing can be missing; RUNNING_XACTS, commits and all others know their length.
    if (cut) expect(ok, `${record.rmgr}/${record.info.toString(16)} cut at ${i} of ${main.length}`).toBe(false)
    const longer = new Uint8Array(main.length + 1)
    longer.set(main)
    expect(decodes(recordOf({ ...pick(record), main: longer }))).toBe(false)
  }), { numRuns: 2000, seed: TEST_SEED })
}
