import { join } from 'node:path'
import { dataView, readU16 } from '../../common/bytes.ts'
import { EnvironmentError } from '../../common/errors.ts'
import type { Lsn } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { pageChecksum } from '../../page/checksum.ts'
import { isZeroPage, PAGESIZE_VERSION, PD_CHECKSUM, PD_PAGESIZE_VERSION, readPageHeader } from '../../page/header.ts'
import { readWalPageHeader, SIZE_OF_LONG_PAGE_HEADER, WAL_PAGE_SIZE } from '../../wal/pageheader.ts'
import { guessTransactions } from './guesstransactions.ts'
import { catalogVersionOf, type ControlFile } from '../../catalog/controlfile.ts'
import { listDir, readPart } from '../disk/files.ts'
import { listRelationFiles } from './relationfiles.ts'
import { RelationFork } from './segments.ts'

const WAL_SEGMENT = /^[0-9A-F]{24}$/
const DATABASE = /^\d+$/

export interface GuessedControl {
  control: ControlFile
  /** The highest pd_lsn: of the last record that changed a page. */
  lsn: Lsn
  /** How each part was found, for people. */
  how: string
}

/**
 * What pg_control would say, from pages, WAL, pg_xact and pg_multixact. Whether the server was shut down cleanly nothing tells: the pages
 * are taken as they are.
 * @throws EnvironmentError file.*
 */
export function guessControl(path: string, major: PgMajor): GuessedControl {
  const wal = newestSegment(join(path, 'pg_wal'))
  const { lsn, right, wrong } = lookAtPages(path)
  const transactions = guessTransactions(path)
  const control: ControlFile = {
    systemIdentifier: wal?.systemIdentifier ?? 0n, controlVersion: 0, catalogVersion: catalogVersionOf(major), state: 'shut down', checkpoint: 0n,
    redo: 0n, timeline: wal?.timeline ?? 1, nextOid: 0, ...transactions, checksums: right > wrong, walSegmentSize: wal?.segmentSize ?? 1 << 24,
    checkpointTime: 0, oldestActiveXid: 0, minRecoveryPoint: 0n, minRecoveryPointTimeline: 0, backupStartPoint: 0n, backupEndPoint: 0n,
    backupEndRequired: false, walLevel: 1, walLogHints: false,
  }
  const identity = wal ? `system identifier ${wal.systemIdentifier} from WAL` : 'no WAL tells the system identifier, 0 stands for it'
  const sums = `data checksums ${control.checksums ? 'on' : 'off'}: ${right} pages have the right one, ${wrong} another`
  const xid = `next transaction ${transactions.nextXid.low} from pg_xact, its epoch not known and taken for 0`
  const how = `${identity}; ${sums}; ${xid}; whether the server was shut down cleanly is not known`
  return { control, lsn, how }
}

function newestSegment(folder: string): { systemIdentifier: bigint; segmentSize: number; timeline: number } | undefined {
  const bytes = new Uint8Array(WAL_PAGE_SIZE)
  for (const name of listDir(folder).filter((file) => WAL_SEGMENT.test(file)).reverse()) {
    if ((readPart(join(folder, name), bytes, WAL_PAGE_SIZE, 0) ?? 0) < SIZE_OF_LONG_PAGE_HEADER) continue
    const { long, timeline } = readWalPageHeader(new DataView(bytes.buffer), 0)
    // Segments that were recycled keep an old header: it is this server's, too.
    if (long?.pageSize === WAL_PAGE_SIZE && long.segmentSize >= 1 << 20) return { ...long, timeline }
  }
  return undefined
}

/** Every page of base/ and global/ that looks like one. Tablespaces add nothing that these do not tell. */
function lookAtPages(path: string): { lsn: Lsn; right: number; wrong: number } {
  const seen = { lsn: 0n, right: 0, wrong: 0 }
  const folders = ['global', ...listDir(join(path, 'base')).filter((name) => DATABASE.test(name)).map((name) => `base/${name}`)]
  for (const folder of folders) {
    for (const { relNumber, forks } of listRelationFiles(join(path, folder)).relations.values()) {
      lookAtFork(join(path, folder, String(relNumber)), forks.get('main') ?? [], seen)
    }
  }
  return seen
}

function lookAtFork(path: string, segments: readonly number[], seen: { lsn: Lsn; right: number; wrong: number }): void {
  let fork: RelationFork
  try {
    fork = new RelationFork(path, segments)
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    return
  }
  try {
    for (let block = 0; block < fork.blocks; block++) lookAtPage(fork.read(block), block, seen)
  } finally {
    fork.close()
  }
}

function lookAtPage(page: Uint8Array, block: number, seen: { lsn: Lsn; right: number; wrong: number }): void {
  if (readU16(page, PD_PAGESIZE_VERSION) !== PAGESIZE_VERSION || isZeroPage(page)) return
  const stored = readU16(page, PD_CHECKSUM)
  const isRight = stored !== 0 && stored === pageChecksum(page, block)
  if (isRight) seen.right++
  else if (stored !== 0) seen.wrong++
  // A page that says so itself is not asked for its LSN.
  if (stored !== 0 && !isRight) return
  const { lsn } = readPageHeader(dataView(page))
  if (lsn > seen.lsn) seen.lsn = lsn
}
