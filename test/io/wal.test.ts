import { execFileSync } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatWalPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { openWal, type WalSource } from '../../src/io/walsource/walsource.ts'
import { timelineAt } from '../../src/wal/timelinehistory.ts'
import { segmentName } from '../../src/wal/segment.ts'
import { closeSessions, fewerMajors, withAdopted, withCluster } from '../support/oracle.ts'
import { inspected, inspectWal, lsnNow, readAll, readerOf, type SeenRecord, SEGMENT_SIZE, type Wal, WAL_CLUSTER, walNow, writeWal } from '../support/walfiles.ts'

const dirs: string[] = []
const newDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'ltap-wal-'))
  dirs.push(dir)
  return dir
}
afterAll(() => { for (const dir of dirs) rmSync(dir, { recursive: true, force: true }) })

function drain(source: WalSource): SeenRecord[] {
  const records: SeenRecord[] = []
  for (let record = source.read(); record !== undefined; record = source.read()) {
    const { startLsn, endLsn, prev, xid, length, rmgr, info, crc } = record
    records.push({ startLsn, endLsn, prev, xid, length, rmgr, info, crc })
  }
  source.close()
  return records
}

describe.each(fewerMajors('majors of folders of WAL'))('a folder of WAL of Postgres %i', major => {
  let wal: Wal
  let records: SeenRecord[]
  let names: string[]

  beforeAll(() => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    await writeWal(sql)
    wal = await walNow(cluster, sql)
    records = readAll(readerOf(wal), wal.bytes).records
    names = []
    for (let at = wal.start; at < wal.start + wal.bytes.length; at += SEGMENT_SIZE) names.push(segmentName(1, at / SEGMENT_SIZE, SEGMENT_SIZE))
  }))

  const segment = (i: number): Uint8Array => wal.bytes.subarray(i * SEGMENT_SIZE, (i + 1) * SEGMENT_SIZE)
  /** Segments as files, but for those that `change` gives another name, other bytes, or takes away. */
  const folder = (change: (name: string, i: number) => readonly [string, Uint8Array] | undefined = (name, i) => [name, segment(i)]): string => {
    const dir = newDir()
    for (const [i, name] of names.entries()) {
      const file = change(name, i)
      if (file !== undefined) writeFileSync(join(dir, file[0]), file[1])
    }
    return dir
  }
  const last = (): number => Math.floor((wal.end - 1 - wal.start) / SEGMENT_SIZE)

  test('is read from its first record to its last', () => {
    const source = openWal(folder())
    expect([source.major, source.segmentSize, source.systemIdentifier]).toEqual([major, SEGMENT_SIZE, wal.systemIdentifier])
    expect(drain(source)).toEqual(records)
    expect(source.end).toMatchObject({ lsn: wal.end })
    expect(source.position).toBe(wal.end)
    const some = records[1000]!
    expect(drain(openWal(folder(), { start: some.startLsn, exact: true, major: major as PgMajor }))).toEqual(records.slice(1000))
  })

  test('compressed, partial, or one file by itself', () => {
    const lz4 = (bytes: Uint8Array, i: number): Buffer => execFileSync('lz4', [i % 2 === 0 ? '-B4' : '-BD', '--content-size', '-c'], { input: bytes, maxBuffer: 1 << 27 })
    const zstd = (bytes: Uint8Array): Buffer => execFileSync('zstd', ['-c', '-q'], { input: bytes, maxBuffer: 1 << 27 })
    const tools = hasTool('lz4') && hasTool('zstd')
    const dir = folder((name, i) => {
      const bytes = segment(i)
      if (i === last()) return [`${name}.gz.partial`, gzipSync(bytes).subarray(0, -500)]
      if (i > last()) return undefined
      if (i % 4 === 1) return [`${name}.gz`, gzipSync(bytes)]
      if (i % 4 === 2 && tools) return [`${name}.lz4`, lz4(bytes, i / 4)]
      if (i % 4 === 3 && tools) return [`${name}.zst`, zstd(bytes)]
      return [name, bytes]
    })
    writeFileSync(join(dir, `${names[0]}.00000028.backup`), 'START WAL LOCATION')
    const found = drain(openWal(dir))
    // What the gzip stream lost of the last segment is zeros.
    expect(found).toEqual(records.slice(0, found.length))
    expect(found.length).toBeGreaterThan(records.findLastIndex(({ startLsn }) => startLsn < wal.start + last() * SEGMENT_SIZE))
    const single = openWal(join(dir, names[0]!))
    expect(drain(single)).toEqual(records.filter(({ startLsn, endLsn }) => startLsn < wal.start + SEGMENT_SIZE && endLsn <= wal.start + SEGMENT_SIZE))
    expect(single.end?.code).toBe('wal.missing-segment')
    renameSync(join(dir, `${names[last()]}.gz.partial`), join(dir, `${names[last()]}.partial`))
    writeFileSync(join(dir, `${names[last()]}.partial`), segment(last()))
    expect(drain(openWal(dir))).toEqual(records)
    writeFileSync(join(dir, `${names[1]}.gz`), gzipSync(segment(1)).subarray(0, -9))
    expect(() => drain(openWal(dir))).toThrow(/compression.gz.*000/)
  })

  test('with a hole is an error, and without its last segments the WAL ends before', () => {
    const hole = folder((name, i) => i === 2 ? undefined : [name, segment(i)])
    expect(() => drain(openWal(hole))).toThrow(new RegExp(`wal.missing-segment: .*${names[2]}`))
    expect(() => openWal(hole, { start: wal.start + 2 * SEGMENT_SIZE + 100 })).toThrow(/wal.missing-segment/)
    const short = openWal(folder((name, i) => i < 2 ? [name, segment(i)] : undefined))
    expect(drain(short)).toEqual(records.filter(({ endLsn }) => endLsn <= wal.start + 2 * SEGMENT_SIZE))
    expect(short.end?.code).toBe('wal.missing-segment')
  })

  test('damaged where it goes on is an error, but not if only recycled files follow', () => {
    const damaged = (change: (bytes: Uint8Array) => Uint8Array): string => folder((name, i) => [name, i === 1 ? change(segment(i).slice()) : segment(i)])
    expect(() => drain(openWal(damaged(bytes => bytes.fill(7, 5000, 5001))))).toThrow(new RegExp(`wal\\.(crc|prev-link|contrecord|rmgr).*${names[1]}`))
    expect(() => drain(openWal(damaged(bytes => bytes.subarray(0, 300_000))))).toThrow(/wal.short-segment/)
    const recycled = folder((name, i) => [name, i === 0 ? segment(0) : i === 1 ? segment(1).slice().fill(0, 5000) : segment(i % 2)])
    const source = openWal(recycled)
    const found = drain(source)
    expect(found).toEqual(records.slice(0, found.length))
    expect(source.end?.lsn).toBeLessThanOrEqual(wal.start + SEGMENT_SIZE + 8192)
    expect(found.at(-1)!.endLsn).toBeGreaterThan(wal.start + SEGMENT_SIZE - 8192)
  })

  test('of another cluster, of another major, or none', () => {
    const dir = folder()
    expect(() => openWal(dir, { systemIdentifier: 1n })).toThrow(/wal.system/)
    expect(() => openWal(dir, { major: major === 14 ? 15 : 14 })).toThrow(/wal.major/)
    expect(() => openWal(newDir())).toThrow(/wal.none/)
    expect(() => openWal(join(dir, 'absent'))).toThrow(/file.missing/)
    const zeros = newDir()
    writeFileSync(join(zeros, names[0]!), new Uint8Array(SEGMENT_SIZE))
    expect(() => openWal(zeros)).toThrow(/wal.identity/)
  })

  test('grows while it is read', () => {
    const dir = newDir()
    const half = records[Math.floor(records.length / 2)]!
    const cut = half.startLsn + 30 - wal.start
    for (const [i, name] of names.entries()) writeFileSync(join(dir, name), segment(i).slice().fill(0, Math.max(0, Math.min(SEGMENT_SIZE, cut - i * SEGMENT_SIZE))))
    const source = openWal(dir)
    const found: SeenRecord[] = drain(source)
    expect(found.at(-1)!.endLsn).toBeLessThanOrEqual(half.startLsn)
    for (const [i, name] of names.entries()) writeFileSync(join(dir, name), segment(i))
    source.resume()
    found.push(...drain(source))
    expect(found).toEqual(records)
  })

  test('follows a promotion to another timeline', () => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    await sql.exec('CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 5000)')
    await walNow(cluster, sql)
    await closeSessions(cluster)
    await cluster.stop('immediate')
    const copy = join(await cluster.makeDir('copies'), 'data')
    await cluster.copyDataDir(copy)
    writeFileSync(join(copy, 'standby.signal'), '')
    await withAdopted(copy, async (promoted, session) => {
      await session.exec('SELECT pg_promote()')
      await session.exec('INSERT INTO t SELECT generate_series(1, 20000)')
      await session.exec("SELECT pg_logical_emit_message(true, 'flush', '')")
      const end = await lsnNow(session)
      const dir = join(promoted.dataDir, 'pg_wal')
      const source = openWal(dir)
      const found = drain(source)
      expect(source.timelineHistory.map(({ timeline }) => timeline)).toEqual([1, 2])
      expect(found.at(-1)!.endLsn).toBe(end)
      const [old] = source.timelineHistory
      expect(found.some(({ startLsn }) => startLsn < old!.end)).toBe(true)
      expect(found.some(({ endLsn }) => endLsn === old!.end)).toBe(true)
      expect(timelineAt(source.timelineHistory, old!.end).timeline).toBe(2)
      expect(timelineAt(source.timelineHistory, old!.end - 1).timeline).toBe(1)
      if (major >= 15) expect(inspected(found)).toEqual(await inspectWal(session, found[0]!.startLsn, end))
      checkRecycledAncestor(dir, found)
      checkOldTimeline(dir, found, old!.end)
    }, WAL_CLUSTER.settings)
  }))

  /** After a promotion the old timeline's later segments get names of the new one: their pages are at their places, but not of it. */
  function checkRecycledAncestor(dir: string, all: SeenRecord[]): void {
    const archive = newDir()
    for (const name of readdirSync(dir).filter(text => /^[0-9A-F]{24}|history$/.test(text))) copyFileSync(join(dir, name), join(archive, name))
    const number = Math.floor(all.at(-1)!.endLsn / SEGMENT_SIZE) + 50
    const later = readFileSync(join(dir, segmentName(2, Math.floor(all.at(-1)!.startLsn / SEGMENT_SIZE), SEGMENT_SIZE)))
    for (const timeline of [1, 2]) {
      later.writeUInt32LE(timeline, 4)
      later.writeBigUInt64LE(BigInt(number * SEGMENT_SIZE), 8)
      writeFileSync(join(archive, segmentName(2, number, SEGMENT_SIZE)), later)
      // The server goes on behind our back.
      if (timeline === 1) expect(drain(openWal(archive)).slice(0, all.length)).toEqual(all)
      else expect(() => drain(openWal(archive))).toThrow(/wal\./)
    }
  }

  /** The old timeline by itself ends at the switch, and so does the new one while its first segment is missing. */
  function checkOldTimeline(dir: string, all: SeenRecord[], end: number): void {
    const archive = newDir()
    for (const name of readdirSync(dir).filter(text => /^[0-9A-F]{24}|history$/.test(text))) copyFileSync(join(dir, name), join(archive, name))
    const upTo = all.filter(({ endLsn }) => endLsn <= end)
    const known = drain(openWal(archive, { timeline: 1 }))
    expect(known.slice(0, upTo.length)).toEqual(upTo)
    const number = Math.floor(end / SEGMENT_SIZE)
    unlinkSync(join(archive, segmentName(2, number, SEGMENT_SIZE)))
    for (const name of readdirSync(archive)) if (name.startsWith('00000002') && !name.endsWith('history')) unlinkSync(join(archive, name))
    const source = openWal(archive)
    expect(drain(source)).toEqual(upTo)
    expect(source.end).toMatchObject({ lsn: end, code: 'wal.missing-segment' })
    expect(formatWalPosition(source.position)).toBe(formatWalPosition(end))
    appendFileSync(join(archive, '00000002.history'), 'nonsense\n')
    expect(() => openWal(archive)).toThrow(/wal.history.*nonsense.*00000002.history/)
  }
})

function hasTool(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn(`SKIPPED: WAL files compressed by ${name}, which is not installed`)
    return false
  }
}
