/** WAL of real servers, as bytes: small segments, so that a few MiB have many boundaries, and records of every size. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatWalPosition, parseLsn, walPosition, type WalPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { WalReader } from '../../src/wal/reader.ts'
import type { WalEnd } from '../../src/wal/walend.ts'
import type { RecordMemory } from '../../src/wal/recordmemory.ts'
import { parseSegmentName, segmentNumber } from '../../src/wal/segment.ts'
import { parseControlFile } from '../../src/catalog/controlfile.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { Session } from './oracle.ts'

export const SEGMENT_SIZE = 1 << 20

/** What {@link createCluster} needs for WAL that tests can handle. */
export const WAL_CLUSTER = {
  initdbArgs: ['--wal-segsize=1'],
  settings: { wal_keep_size: '200MB', min_wal_size: '2MB', max_wal_size: '200MB', wal_level: 'logical', autovacuum: 'off', checkpoint_timeout: '1h' },
}

/** WAL in one piece: `bytes[0]` is at `start`, and up to `end` it was written by a server. What follows is old or zero. */
export interface Wal {
  major: PgMajor
  start: WalPosition
  end: WalPosition
  bytes: Uint8Array
  systemIdentifier: bigint
}

/** A record as its header says. */
export interface SeenRecord {
  startLsn: WalPosition
  endLsn: WalPosition
  prev: WalPosition
  xid: number
  length: number
  rmgr: number
  info: number
  crc: number
}

/** Records of a page and of many segments, all lengths modulo 8, a switch in the middle of a segment, images, catalog changes. */
export async function writeWal(sql: Session): Promise<void> {
  await sql.script(`
    CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, repeat('x', i % 300) FROM generate_series(1, 2000) i;
    SELECT count(pg_logical_emit_message(false, 'm', repeat('y', i * 7))) FROM generate_series(1, 700) i;
    SELECT pg_logical_emit_message(true, 'large', repeat('large', 500000));
    CHECKPOINT;
    UPDATE t SET v = v || 'u' WHERE id % 3 = 0;
    SELECT pg_switch_wal();
    CREATE TABLE u AS SELECT i, md5(i::text) m FROM generate_series(1, 3000) i;
    CREATE INDEX ON u (m);
    DELETE FROM t WHERE id % 5 = 0; VACUUM t;
    SELECT pg_logical_emit_message(true, 'medium', repeat('medium', 3000))`)
}

/** Everything that pg_wal holds, from the oldest segment on. The server runs or not. */
export function readWal(dataDir: string, major: number, end: WalPosition): Wal {
  const control = parseControlFile(readFileSync(join(dataDir, 'global/pg_control')), major as PgMajor)
  const size = control.walSegmentSize
  const segments = new Map<number, string>()
  for (const name of readdirSync(join(dataDir, 'pg_wal'))) {
    const parsed = parseSegmentName(name)
    if (parsed !== undefined && !parsed.partial) segments.set(segmentNumber(parsed, size)!, name)
  }
  let first = Math.floor((end - 1) / size)
  while (segments.has(first - 1)) first--
  const files: Buffer[] = []
  for (let n = first; segments.has(n); n++) files.push(readFileSync(join(dataDir, 'pg_wal', segments.get(n)!)))
  return { major: major as PgMajor, start: first * size, end, bytes: new Uint8Array(Buffer.concat(files)), systemIdentifier: control.systemIdentifier }
}

/** WAL of a running cluster up to now, flushed. */
export async function walNow(cluster: PostgresServer, sql: Session): Promise<Wal> {
  await sql.exec("SELECT pg_logical_emit_message(true, 'flush', '')")
  return readWal(cluster.dataDir, cluster.major, await lsnNow(sql))
}

/** End of what is in the WAL. */
export async function lsnNow(sql: Session): Promise<WalPosition> {
  return walPosition(parseLsn((await sql.value('SELECT pg_current_wal_insert_lsn()'))!)!)
}

/** Feeds `bytes`, in pieces of the sizes that `sizes` gives (whole if none), and collects all records. */
export function readAll(reader: WalReader, bytes: Uint8Array, sizes?: Iterator<number>): { records: SeenRecord[]; end: WalEnd | undefined } {
  const records: SeenRecord[] = []
  for (let at = 0; at < bytes.length && reader.end === undefined;) {
    const size = sizes?.next().value ?? bytes.length
    reader.feed(bytes.subarray(at, at + size))
    at += size
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      const { startLsn, endLsn, prev, xid, length, rmgr, info, crc } = record
      records.push({ startLsn, endLsn, prev, xid, length, rmgr, info, crc })
    }
  }
  return { records, end: reader.end }
}

/** A reader for all of `wal`; WebAssembly checks pieces that lie in `memory`. */
export function readerOf(wal: Wal, start = wal.start, memory?: RecordMemory): WalReader {
  return new WalReader({ major: wal.major, start, timeline: 1, segmentSize: SEGMENT_SIZE, systemIdentifier: wal.systemIdentifier, memory })
}

/** What pg_walinspect (15+) says of all records that begin in [start, end): numbers as text. */
export async function inspectWal(sql: Session, start: WalPosition, end: WalPosition): Promise<string[]> {
  await sql.exec('CREATE EXTENSION IF NOT EXISTS pg_walinspect')
  const rows = await sql.rows(
    `SELECT start_lsn, end_lsn, prev_lsn, xid, record_length FROM pg_get_wal_records_info($1, $2) ORDER BY 1`,
    [formatWalPosition(start), formatWalPosition(end)])
  return rows.map(row => row.join(' '))
}

/** Records in the form of {@link inspectWal}. */
export function inspected(records: readonly SeenRecord[]): string[] {
  return records.map(({ startLsn, endLsn, prev, xid, length }) =>
    `${formatWalPosition(startLsn)} ${formatWalPosition(endLsn)} ${formatWalPosition(prev)} ${xid} ${length}`)
}

/** A segment boundary with many records within two pages on both sides. */
export function busyBoundary(wal: Wal, records: readonly SeenRecord[]): WalPosition {
  const near = (boundary: WalPosition, side: number): number =>
    records.filter(({ startLsn }) => (startLsn - boundary) * side > 0 && Math.abs(startLsn - boundary) < 16384).length
  for (let boundary = wal.start + SEGMENT_SIZE; boundary < wal.end - 32768; boundary += SEGMENT_SIZE) {
    if (near(boundary, -1) > 5 && near(boundary, 1) > 5) return boundary
  }
  throw new Error('no segment boundary with small records around')
}
