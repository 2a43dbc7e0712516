import { join } from 'node:path'
import { type FileDescriptor, fileRange } from '../columnar/filedescriptor.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../common/errors.ts'
import { type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest } from '../lake/manifest.ts'
import type { DirectoryCluster } from '../io/cluster.ts'
import { readIfThere } from '../io/disk/files.ts'
import { refuseScheme } from '../io/disk/localpath.ts'

/** Reads a lake's manifest. @throws EnvironmentError lake.missing, CorruptionError, UnsupportedError lake.* */
export function readManifest(lake: string): Manifest {
  refuseScheme(lake)
  const file = join(lake, MANIFEST_NAME)
  const bytes = readIfThere(file)
  if (!bytes) {
    throw new EnvironmentError('lake.missing', `the folder is not a lake: it has no ${MANIFEST_NAME}; ltap transcode writes a lake`, { file: lake })
  }
  return withPosition({ file }, () => parseManifest(bytes))
}

export function lakeRelationName({ database, schema, name }: Pick<LakeRelation, 'database' | 'schema' | 'name'>): string {
  return database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
}

/** What ltap.json says a file of the lake holds. */
export interface ExpectedFile {
  systemIdentifier: string
  lsn: string
  spcOid: number
  dbOid: number
  relNumber: number
  /** Blocks of the whole relation, not of one file. */
  blocks: number
  firstBlock: number
  blockCount: number
}

export function expectedFile({ systemIdentifier, lsn }: Manifest, relation: LakeRelation, { firstBlock, blockCount }: LakeFile): ExpectedFile {
  const { spcOid, dbOid, relNumber, forks } = relation
  return { systemIdentifier, lsn, spcOid, dbOid, relNumber, blocks: forks.main ?? 0, firstBlock, blockCount }
}

/** Files are easily swapped, and each is whole in itself. @throws CorruptionError lake.other-file */
export function checkFileDescriptor(descriptor: FileDescriptor, expected: ExpectedFile): void {
  const { systemIdentifier, lsn, relation } = descriptor
  const { first: firstBlock, count: blockCount } = fileRange(descriptor.blocks)
  const { spcOid, dbOid, relNumber, blocks } = relation
  const found: ExpectedFile = { systemIdentifier, lsn, spcOid, dbOid, relNumber, blocks, firstBlock, blockCount }
  for (const key of Object.keys(expected) as (keyof ExpectedFile)[]) {
    if (found[key] === expected[key]) continue
    const name = lakeRelationName(relation)
    throw new CorruptionError('lake.other-file', `the file is of ${name}: ${key} is ${found[key]}, ltap.json says ${expected[key]}`)
  }
}

/** @throws EnvironmentError lake.other-cluster, lake.other-lsn unless the lake was read from this cluster in this state */
export function checkSameState(manifest: Manifest, cluster: Pick<DirectoryCluster, 'systemIdentifier'>, lsn: string): void {
  if (String(cluster.systemIdentifier) !== manifest.systemIdentifier) {
    const reason = `the data directory has system identifier ${cluster.systemIdentifier}, the lake ${manifest.systemIdentifier}`
    throw new EnvironmentError('lake.other-cluster', reason)
  }
  if (lsn !== manifest.lsn) throw new EnvironmentError('lake.other-lsn', `the data directory is at ${lsn}, the lake at ${manifest.lsn}`)
}
