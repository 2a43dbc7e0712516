import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32cUpdate } from '../../src/common/crc32c.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { segmentName } from '../../src/wal/segment.ts'
import { connect, closeSessions, majors, withCluster } from '../support/oracle.ts'
import {
  busyBoundary, inspected, inspectWal, lsnNow, readAll, readerOf, readWal, type SeenRecord, SEGMENT_SIZE, type Wal, WAL_CLUSTER, walNow, writeWal,
} from '../support/walfiles.ts'

/** WAL of a server, then damaged: what was written before the damage comes back, and nothing else. */
describe.each(majors())('end of the WAL of Postgres %i', major => {
  let wal: Wal
  let records: SeenRecord[]
  /** A few pages on both sides of a segment boundary, read by themselves. */
  let from: number
  let part: Uint8Array
  let inPart: SeenRecord[]

  beforeAll(() => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    await writeWal(sql)
    wal = await walNow(cluster, sql)
    records = readAll(readerOf(wal), wal.bytes).records
    from = busyBoundary(wal, records) - 2 * WAL_PAGE_SIZE
    part = wal.bytes.slice(from - wal.start, from - wal.start + 5 * WAL_PAGE_SIZE)
    inPart = readAll(readerOf(wal, from), part).records
  }))

  /** Reads `part` with changes; all records must be true ones, in order, from the first. */
  const readDamaged = (damage: (bytes: Uint8Array) => Uint8Array | void): ReturnType<typeof readAll> => {
    const bytes = part.slice()
    const found = readAll(readerOf(wal, from), damage(bytes) ?? bytes)
    // Every record was compared as a whole by its CRC.
    const wrong = found.records.findIndex((record, i) => record.crc !== inPart[i]?.crc || record.startLsn !== inPart[i]?.startLsn)
    if (wrong >= 0 || found.records.length === inPart.length) expect(found.records).toEqual(inPart)
    return found
  }
  const before = (at: number): number => inPart.filter(({ endLsn }) => endLsn <= from + at).length

  test('cut anywhere: the records before the cut', () => {
    for (let length = WAL_PAGE_SIZE; length < part.length; length += 29) {
      const { records: found, end } = readDamaged(bytes => bytes.subarray(0, length))
      expect(end).toBeUndefined()
      // A record may be complete before its padding is.
      expect(found.length - before(length)).toBeGreaterThanOrEqual(0)
      expect(found.length - before(length)).toBeLessThanOrEqual(1)
    }
  })

  test('zeros, or garbage, from anywhere on: the records before', () => {
    const last = part.length - WAL_PAGE_SIZE
    for (let at = last - 300; at < last + 600; at += 3) {
      for (const byte of [0, 0xa5]) {
        const { records: found, end } = readDamaged(bytes => { bytes.fill(byte, at) })
        expect(found.length - before(at)).toBeGreaterThanOrEqual(0)
        expect(found.length - before(at)).toBeLessThanOrEqual(1)
        if (end === undefined) throw new Error(`no end after damage at ${at}`)
        expect(end.lsn).toBeGreaterThanOrEqual(found.at(-1)!.endLsn)
        expect(end.lsn - found.at(-1)!.endLsn).toBeLessThanOrEqual(40)
        expect(end.code).toMatch(/^wal\.[a-z-]+$/)
      }
    }
  })

  test('an old page, a recycled segment, a page of another timeline: the records before', () => {
    for (const page of [1, 2, 3, 4]) {
      const at = page * WAL_PAGE_SIZE
      // The first pages there are; one of them with a long header.
      const old = wal.bytes.subarray((from + at) % SEGMENT_SIZE === 0 ? 0 : WAL_PAGE_SIZE)
      expect(readDamaged(bytes => { bytes.set(old.subarray(0, bytes.length - at), at) }).end?.reason).toMatch(/the page says it is at/)
      expect(readDamaged(bytes => { bytes[at] = bytes[at]! ^ 1 }).end?.reason).toMatch(/page magic/)
      expect(readDamaged(bytes => { bytes[at + 3] = 1 }).end?.reason).toMatch(/page info/)
      expect(readDamaged(bytes => { bytes[at + 2] = bytes[at + 2]! ^ 2 }).end?.reason).toMatch(/a long header|a short header/)
      expect(readDamaged(bytes => { bytes[at + 4] = 2 }).end?.reason).toMatch(/a page of timeline 2 in a file of timeline 1/)
      expect(readDamaged(bytes => { bytes[at + 4] = 0 }).end?.reason).toMatch(/a page of timeline 0 after one of 1/)
      expect(readDamaged(bytes => { bytes[at + 2] = bytes[at + 2]! ^ 1 }).end?.reason).toMatch(/begins? with the rest/)
      const { end } = readDamaged(bytes => { bytes[at + 16] = bytes[at + 16]! ^ 1 })
      // xlp_rem_len means nothing on a page that begins with a record.
      if ((part[at + 2]! & 1) !== 0) expect(end?.reason).toMatch(/bytes of a record of which/)
    }
  })

  test('an old record where one would begin: told by its link', () => {
    // The bytes of the record 40 before, as a recycled page would have them.
    const old = inPart[2]!
    const at = inPart.find(({ startLsn, endLsn, length }, i) => i > 5 && length >= old.length && endLsn - startLsn < length + 8)!
    const { records: found, end } = readDamaged(bytes => {
      bytes.copyWithin(at.startLsn - from, old.startLsn - from, old.endLsn - from)
    })
    expect(found.at(-1)!.endLsn).toBeLessThanOrEqual(at.startLsn)
    expect(end).toMatchObject({ code: 'wal.prev-link', lsn: at.startLsn })
  })

  test('a record that is said to have almost 1 GiB takes no memory for that', () => {
    const at = inPart.find(({ startLsn }) => startLsn > from + 3 * WAL_PAGE_SIZE)!
    const { end } = readDamaged(bytes => { new DataView(bytes.buffer).setUint32(at.startLsn - from, 0x3f000000, true) })
    expect(end).toMatchObject({ lsn: at.startLsn, code: 'wal.contrecord' })
    expect(readDamaged(bytes => { new DataView(bytes.buffer).setUint32(at.startLsn - from, 0x40000001, true) }).end)
      .toMatchObject({ lsn: at.startLsn, code: 'wal.record-length' })
  })

  test('any byte flipped: the records before it', () => {
    // Where the first record is to be looked for, only the header of the first page says.
    for (let at = 24; at < part.length; at += 17) {
      const { records: found } = readDamaged(bytes => { bytes[at] = bytes[at]! ^ (1 << at % 8) })
      expect(found.length).toBeGreaterThanOrEqual(before(at - at % WAL_PAGE_SIZE > at - 40 ? at - at % WAL_PAGE_SIZE : at))
    }
  })

  test('a record that a crash cut short, and the server has given up', () => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    await sql.exec("CREATE TABLE t (i int); SELECT pg_logical_emit_message(true, 'm', 'before')")
    await sql.exec("BEGIN; SELECT pg_logical_emit_message(false, 'aborted', repeat('cut', 20000)); COMMIT")
    await sql.exec("SELECT pg_logical_emit_message(true, 'm', 'flush')")
    const whole = readWal(cluster.dataDir, major, await lsnNow(sql))
    await closeSessions(cluster)
    await cluster.stop('immediate')
    const all = readAll(readerOf(whole), whole.bytes).records
    const cut = all.findLast(({ length }) => length > 60000)!
    zeroFrom(cluster.dataDir, Math.ceil(cut.startLsn / WAL_PAGE_SIZE) * WAL_PAGE_SIZE + WAL_PAGE_SIZE)
    await cluster.start()
    const again = await connect(cluster)
    await again.exec('INSERT INTO t SELECT generate_series(1, 300)')
    const now = await walNow(cluster, again)
    const { records: found, end } = readAll(readerOf(now), now.bytes)
    const i = found.findIndex(({ startLsn }) => startLsn > cut.startLsn)
    expect(found[i]).toMatchObject({ rmgr: 0, info: 0xd0, prev: found[i - 1]!.startLsn })
    expect(found[i]!.startLsn % WAL_PAGE_SIZE).toBe(24)
    expect(found.some(({ startLsn }) => startLsn === cut.startLsn)).toBe(false)
    expect(found.at(-1)!.endLsn).toBe(now.end)
    expect(end?.lsn).toBe(now.end)
    expect(readAll(readerOf(now), now.bytes, ones(4093))).toEqual({ records: found, end })
    if (major >= 15) expect(inspected(found)).toEqual(await inspectWal(again, found[0]!.startLsn, now.end))
    // The record that follows says which one was given up; without that this is no WAL of a server.
    const at = found[i]!.startLsn - now.start
    const forged = now.bytes.slice()
    forged[Math.floor(at / WAL_PAGE_SIZE) * WAL_PAGE_SIZE + 2] = 0
    const torn = readAll(readerOf(now), forged)
    expect(torn.end).toMatchObject({ lsn: cut.startLsn, code: 'wal.contrecord' })
    expect(torn.records).toEqual(found.slice(0, i))
    const other = now.bytes.slice()
    const view = new DataView(other.buffer)
    // Its main data: the LSN of the record given up, after a header of 24 bytes and two more.
    expect(view.getUint32(at + 26, true)).toBe(cut.startLsn)
    view.setUint32(at + 26, cut.startLsn + 8, true)
    view.setInt32(at + 20, crc32cUpdate(crc32cUpdate(-1, view, at + 24, at + found[i]!.length), view, at, at + 20) ^ -1, true)
    expect(() => readAll(readerOf(now), other)).toThrow(/wal.overwrite/)
  }))
})

/** As if the pages from `position` on had never reached the disk. */
function zeroFrom(dataDir: string, position: number): void {
  const path = join(dataDir, 'pg_wal', segmentName(1, Math.floor(position / SEGMENT_SIZE), SEGMENT_SIZE))
  const bytes = readFileSync(path)
  bytes.fill(0, position % SEGMENT_SIZE)
  copyFileSync(path, `${path}.before`)
  writeFileSync(path, bytes)
}

function* ones(size: number): Generator<number, number> {
  for (;;) yield size
}
