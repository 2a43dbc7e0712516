import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { FileDescriptor } from '../columnar/filedescriptor.ts'
import { type BlockRun, BlockSet } from '../common/blockset.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../common/errors.ts'
import { formatLsn, type Lsn, parseLsn } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest } from '../lake/manifest.ts'
import { FORMAT_KEY } from '../lake/state/names.ts'
import type { Guess } from '../io/datadir/consistentdirectory.ts'
import { readIfThere } from '../io/disk/files.ts'
import { refuseScheme } from '../io/disk/localpath.ts'

/** Reads a lake's manifest. @throws EnvironmentError lake.missing, CorruptionError, UnsupportedError lake.* */
export function readManifest(lake: string): Manifest {
  refuseScheme(lake)
  const file = join(lake, MANIFEST_NAME)
  const bytes = readIfThere(file)
  if (!bytes) {
    if (!existsSync(lake)) throw new EnvironmentError('lake.missing', 'no such folder', { file: lake })
    const reason = `the folder is not a lake: it has neither ${FORMAT_KEY} nor ${MANIFEST_NAME}; ltap transcode writes a lake`
    throw new EnvironmentError('lake.missing', reason, { file: lake })
  }
  return withPosition({ file }, () => parseManifest(bytes))
}

export function lakeRelationName({ database, schema, name }: Pick<LakeRelation, 'database' | 'schema' | 'name'>): string {
  return database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
}

/** What the lake says a file holds: ltap.json, or an entry of its state. */
export interface ExpectedFile {
  systemIdentifier: string
  lsn: string
  spcOid: number
  dbOid: number
  relNumber: number
  /** Blocks of the whole relation, not of one file. */
  blocks: number
  /** Those of the file: `runs` of a BlockSet. */
  runs: readonly BlockRun[]
}

export function expectedFile({ systemIdentifier, lsn }: Manifest, relation: LakeRelation, { firstBlock, blockCount }: LakeFile): ExpectedFile {
  const { spcOid, dbOid, relNumber, forks } = relation
  return { systemIdentifier, lsn, spcOid, dbOid, relNumber, blocks: forks.main ?? 0, runs: BlockSet.range(firstBlock, blockCount).runs }
}

/** Checks that a file is the one that the lake means: two whole files of a lake may have been swapped. @throws CorruptionError lake.other-file */
export function checkFileDescriptor({ systemIdentifier, lsn, relation, blocks: held }: FileDescriptor, expected: ExpectedFile): void {
  const { spcOid, dbOid, relNumber, blocks } = relation
  const wrong = (what: string, found: string | number, wanted: string | number): CorruptionError => new CorruptionError('lake.other-file',
    `the file is of ${lakeRelationName(relation)}: ${what} is ${found}, the lake says ${wanted}`)
  const found = { systemIdentifier, lsn, spcOid, dbOid, relNumber, blocks }
  for (const key of Object.keys(found) as (keyof typeof found)[]) if (found[key] !== expected[key]) throw wrong(key, found[key], expected[key])
  const [here, there] = [held.runs, expected.runs].map((runs) => runs.map(({ first, count }) => `${first}-${first + count - 1}`).join(' '))
  if (here !== there) throw wrong('its set of blocks', shortened(here!), shortened(there!))
}

function shortened(runs: string): string {
  return runs.length > 100 ? `${runs.slice(0, 100)}…` : runs || 'empty'
}

/** Whose state is compared with a lake's: of a data directory, or what is guessed of one that has lost pg_control. */
export interface FoundState {
  systemIdentifier: bigint
  major: PgMajor
  lsn: Lsn
  guess?: Guess | undefined
}

const OTHER = 'name the data directory that the lake was read from, in the state that it had then'

/**
 * Without pg_control, the system identifier comes from pg_wal or from the user, and the state from the last checkpoint in pg_wal. If pg_wal has no
 * checkpoint, the pages only tell that they are not newer than the lake.
 * @throws EnvironmentError lake.other-cluster, lake.other-lsn unless the lake was read from this cluster in this state
 */
export function checkSameState(manifest: Manifest, { systemIdentifier, major, lsn, guess }: FoundState): void {
  if (guess !== undefined && systemIdentifier === 0n && manifest.systemIdentifier !== '0') {
    const reason = 'without pg_control and WAL, nothing in the data directory tells which cluster it is of; if it is of the one that the lake was read ' +
      `from, say --system-identifier ${manifest.systemIdentifier}`
    throw new EnvironmentError('lake.other-cluster', reason)
  }
  if (String(systemIdentifier) !== manifest.systemIdentifier) {
    const reason = `the data directory has system identifier ${systemIdentifier}, the lake ${manifest.systemIdentifier}: ${OTHER}`
    throw new EnvironmentError('lake.other-cluster', reason)
  }
  if (major !== manifest.major) {
    throw new EnvironmentError('lake.other-cluster',
      `the data directory is of Postgres ${major}, the lake of ${manifest.major}: ${OTHER}`)
  }
  const [here, there] = [formatLsn(lsn), manifest.lsn]
  // An older ltap did not look for checkpoints: its lake has the highest LSN of a page.
  const isGuessedAlike = guess !== undefined && manifest.guessed === true && formatLsn(guess.pageLsn) === there
  if (here === there || isGuessedAlike) return
  if (guess === undefined || guess.clean) throw new EnvironmentError('lake.other-lsn', `the data directory is at ${here}, the lake at ${there}: ${OTHER}`)
  if (guess.pageLsn > parseLsn(there)!) {
    throw new EnvironmentError('lake.other-lsn',
      `the data directory has a page of ${formatLsn(guess.pageLsn)}, the lake is at ${there}, which is older: ${OTHER}`)
  }
}
