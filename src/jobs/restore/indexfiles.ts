import { join } from 'node:path'
import { CorruptionError } from '../../common/errors.ts'
import { PD_CHECKSUM } from '../../page/header.ts'
import { pageChecksum } from '../../page/checksum.ts'
import { emptyBtree } from '../../page/emptybtree.ts'
import { openCluster } from '../../io/cluster.ts'
import type { RestoreTarget } from '../../io/datadir/restoretarget.ts'
import { databasePath } from '../../common/relpath.ts'
import { breathe } from '../../io/process/interruption.ts'

export interface EmptyFiles {
  /** Tables that the catalogs name and that have no file, because ltap does not read their access method. */
  notRestored: string[]
  /** Indexes of prepared transactions. */
  pending: { database: string; name: string }[]
}

/**
 * Gives each index of the restored catalogs a file, unless it has one (of an unlogged table, from its init fork): a B-tree without entries, which
 * even a server needs that ignores the indexes of catalogs; for any other access method a file of no bytes, which no scan accepts. An index of a
 * prepared transaction gets such a file, too: no other transaction can mark it as invalid, and a B-tree without entries would hide rows once that commits.
 * @throws CorruptionError restore.relation for any other table, catalogs that cannot be read
 */
export async function writeIndexFiles(target: RestoreTarget): Promise<EmptyFiles> {
  const cluster = openCluster(target.path)
  const version = { major: cluster.major, catalogVersion: cluster.control.catalogVersion }
  const btree = emptyBtree()
  if (cluster.checksums) new DataView(btree.buffer).setUint16(PD_CHECKSUM, pageChecksum(btree, 0), true)
  const notRestored: string[] = []
  const pending: EmptyFiles['pending'] = []
  for (const dbOid of cluster.readableOids()) {
    for (const relation of cluster.relations(dbOid)) {
      const path = cluster.relativePath(relation)
      if (relation.visible && !target.has(path)) {
        throw new CorruptionError('restore.relation', 'the state does not have the pages of a relation that its catalogs name', {
          relation: `${relation.database.name}.${relation.schema}.${relation.name}`, file: join(target.path, path),
        })
      }
    }
    notRestored.push(...cluster.nonHeap(dbOid).map(({ database, schema, name }) => `${database.name}.${schema}.${name}`))
    if (dbOid === 0) continue
    for (const { locator, isBtree, isPending, name } of cluster.indexes(dbOid)) {
      const path = `${databasePath(locator, version)}/${locator.relNumber}`
      if (target.has(path)) continue
      target.file(path, isBtree && !isPending ? btree : new Uint8Array(0))
      if (isPending) pending.push({ database: cluster.databases.find(({ oid }) => oid === dbOid)!.name, name })
    }
    await breathe()
  }
  return { notRestored, pending }
}
