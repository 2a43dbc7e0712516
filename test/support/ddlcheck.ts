/** What must hold of a stopped cluster after any DDL: lake = pages, rebuilt = original, visible rows = COPY. */
import { join } from 'node:path'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { RelationFilter } from '../../src/jobs/selection.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { compareCluster } from './comparelake.ts'
import { destroyHeapFiles, disagreements, interrogate, transcode } from './lakes.ts'
import { visibleRows } from './lakerows.ts'
import { connect } from './oracle.ts'

/** Transcodes and verifies a stopped cluster, or a part of it; returns the lake's manifest and what is wrong. */
export async function checkLake(cluster: PostgresServer, lake: string, filter: RelationFilter): Promise<{ manifest: Manifest; problems: string[] }> {
  const manifest = await transcode(cluster.dataDir, lake, { compression: 'none', filter })
  const { differences, forensic } = await verifyLake({ lake, pgdata: cluster.dataDir, workers: 0 })
  const problems = differences.map((difference) => JSON.stringify(difference))
  if (forensic.hintContradictions + forensic.damagedPages + forensic.orphanFiles.length > 0) problems.push(JSON.stringify(forensic))
  return { manifest, problems }
}

/** Rebuilds a stopped cluster's heap files in a copy; returns what two servers answer differently. */
export async function checkRebuilt(cluster: PostgresServer, lake: string, manifest: Manifest, folder: string): Promise<string[]> {
  const [original, rebuilt] = [join(folder, 'original'), join(folder, 'rebuilt')]
  await cluster.copyDataDir(original)
  await cluster.copyDataDir(rebuilt)
  destroyHeapFiles(rebuilt, manifest)
  await rebuildLake({ lake, pgdata: rebuilt, force: true, workers: 0 })
  return disagreements(await interrogate(original), await interrogate(rebuilt))
}

/** Compares relations, attributes and rows of schema ddl with the server, which was started again; rolls back what is prepared. */
export async function checkVisible(cluster: PostgresServer, lake: string, manifest: Manifest): Promise<string[]> {
  const relations = manifest.relations.filter(({ schema, visible, relkind }) => schema === 'ddl' && visible && relkind !== 'p')
  const { differences } = await compareCluster(cluster, lake, { ...manifest, relations })
  const sql = await connect(cluster)
  const wanted = await sql.rows(`
    SELECT relname, (SELECT string_agg(attnum || attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
    FROM pg_class c WHERE relnamespace = 'ddl'::regnamespace AND relkind IN ('r', 'm', 'S') ORDER BY relname COLLATE "C"`)
  const found = relations.map((relation) => {
    const { attributes } = visibleRows(lake, relation).descriptor.relation.desc
    return [relation.name, attributes.filter(({ dropped }) => !dropped).map(({ attnum, name }) => `${attnum}${name}`).join(',') || null]
  })
  found.sort(([a], [b]) => Buffer.compare(Buffer.from(a!), Buffer.from(b!)))
  if (JSON.stringify(found) !== JSON.stringify(wanted)) differences.push(`the server has ${JSON.stringify(wanted)}, the lake ${JSON.stringify(found)}`)
  return differences
}
