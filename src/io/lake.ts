import { join } from 'node:path'
import { EnvironmentError, withPosition } from '../common/errors.ts'
import { type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest } from '../lake/manifest.ts'
import type { Cluster } from './cluster.ts'
import { readIfThere } from './datadir/files.ts'

/** Reads a lake's manifest. @throws EnvironmentError lake.missing, CorruptionError, UnsupportedError lake.* */
export function readManifest(lake: string): Manifest {
  const file = join(lake, MANIFEST_NAME)
  const bytes = readIfThere(file)
  if (!bytes) {
    throw new EnvironmentError('lake.missing', `no lake here: it has no ${MANIFEST_NAME} (a transcode that was interrupted leaves none)`, { file: lake })
  }
  return withPosition({ file }, () => parseManifest(new TextDecoder().decode(bytes)))
}

export function lakeRelationName({ database, schema, name }: Pick<LakeRelation, 'database' | 'schema' | 'name'>): string {
  return database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
}

/** @throws EnvironmentError lake.other-cluster, lake.other-lsn unless the lake was read from this cluster in this state */
export function checkSameState(manifest: Manifest, cluster: Pick<Cluster, 'systemIdentifier'>, lsn: string): void {
  if (String(cluster.systemIdentifier) !== manifest.systemIdentifier) {
    const reason = `the data directory has system identifier ${cluster.systemIdentifier}, the lake ${manifest.systemIdentifier}`
    throw new EnvironmentError('lake.other-cluster', reason)
  }
  if (lsn !== manifest.lsn) throw new EnvironmentError('lake.other-lsn', `the data directory is at ${lsn}, the lake at ${manifest.lsn}`)
}
