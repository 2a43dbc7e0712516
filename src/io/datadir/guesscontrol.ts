import { join } from 'node:path'
import { type GuessedControl, guessControl, type KnownControl, PageSurvey, type WalServer, walServerOf } from '../../catalog/guesscontrol.ts'
import { guessTransactions } from '../../catalog/guesstransactions.ts'
import { EnvironmentError, withPosition } from '../../common/errors.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { WAL_PAGE_SIZE } from '../../wal/pageheader.ts'
import { listDir, readPart } from '../disk/files.ts'
import { findLastCheckpoint } from './lastcheckpoint.ts'
import { listRelationFiles } from './listrelationfiles.ts'
import { SegmentPages } from './segmentpages.ts'
import { FileSlru } from './slru.ts'

const WAL_SEGMENT = /^[0-9A-F]{24}$/
const DATABASE = /^\d+$/

/** {@link guessControl} of a data directory. @throws EnvironmentError file.*, datadir.next-xid, datadir.system-identifier */
export function guessControlFile(path: string, major: PgMajor, known: KnownControl = {}): GuessedControl {
  const slru = (folder: string): FileSlru => new FileSlru(join(path, folder), undefined, 'lost')
  const counters = guessTransactions(slru('pg_xact'), slru('pg_multixact/offsets'), slru('pg_multixact/members'))
  const pgWal = join(path, 'pg_wal')
  const evidence = {
    checkpoint: findLastCheckpoint(pgWal, major), wal: newestSegment(pgWal), survey: lookAtPages(path), counters, twophase: listDir(join(path, 'pg_twophase')),
  }
  return withPosition({ file: path }, () => guessControl(major, evidence, known))
}

function newestSegment(folder: string): WalServer | undefined {
  const bytes = new Uint8Array(WAL_PAGE_SIZE)
  for (const name of listDir(folder).filter((file) => WAL_SEGMENT.test(file)).reverse()) {
    const found = walServerOf(bytes.subarray(0, readPart(join(folder, name), bytes, WAL_PAGE_SIZE, 0) ?? 0))
    if (found !== undefined) return found
  }
  return undefined
}

/** Looks at every page of base/ and global/. Pages in tablespaces would not tell more. */
function lookAtPages(path: string): PageSurvey {
  const survey = new PageSurvey()
  const folders = ['global', ...listDir(join(path, 'base')).filter((name) => DATABASE.test(name)).map((name) => `base/${name}`)]
  for (const folder of folders) {
    for (const { relNumber, forks } of listRelationFiles(join(path, folder)).relations.values()) {
      lookAtFork(join(path, folder, String(relNumber)), forks.get('main') ?? [], survey)
    }
  }
  return survey
}

function lookAtFork(path: string, segments: readonly number[], survey: PageSurvey): void {
  let fork: SegmentPages
  try {
    fork = new SegmentPages(path, segments)
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    return
  }
  try {
    for (let block = 0; block < fork.blocks; block++) survey.look(fork.read(block), block)
  } finally {
    fork.close()
  }
}
