import { realpathSync } from 'node:fs'
import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import { grownColumnFields } from '../../columnar/fieldhistory.ts'
import { equalJson } from '../../common/equaljson.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import { catalogEdit, type ClusterInfo, type LakeSelection } from '../../lake/clusterinfo.ts'
import { encodeDescription } from '../../lake/relationinfo.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import type { PlannedRelations } from '../plannedrelations.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { LTAP_VERSION } from '../version.ts'
import { replayedOf } from './clusterfiles.ts'
import type { MaterializeLakeOptions } from './materializeoptions.ts'
import type { PartWriter } from './partwriter.ts'
import type { TreeFields } from './treefields.ts'

/** What a state says beside relations with pages, an entry of the tree `catalog`. */
export type CatalogValue = EntryKey & { readonly value: object }

/** What they are made of. */
export interface CatalogSource {
  cluster: DirectoryCluster
  descriptor: ClusterDescriptor
  plan: PlannedRelations
  parts: PartWriter
  trees: TreeFields
}

/** What a state says of its cluster that the work finds out. `damage` has a sentence for each part of it that is lost. */
export type StateFacts = Pick<ClusterInfo, 'packing' | 'nextXid' | 'pageStore'> & { damage: readonly string[] }

/** Number of the first transaction that had not begun, with its epoch. */
export function fullXidOf({ nextXid: { low, epoch } }: Snapshot): number {
  return epoch * 0x100000000 + low
}

/** All of them but relations that are not read. */
export async function catalogEntries(
  { cluster, descriptor: { major, profile }, plan: { selection }, parts, trees }: CatalogSource, info: ClusterInfo,
): Promise<CatalogValue[]> {
  const entries: CatalogValue[] = [
    catalogEdit({ kind: 'cluster', cluster: info }),
    ...cluster.databases.map(({ oid, name, template }) => catalogEdit({ kind: 'database', database: { oid, name, template } })),
  ]
  for (const dbOid of selection.databases) {
    for (const { database: { encoding }, oid, schema, name, parents, desc, virtualColumns } of selection.parents(dbOid)) {
      const { history: fields } = trees.of(dbOid, oid) ?? grownColumnFields(undefined, { major, profile, encoding, desc, displayScales: {}, pageFlags: 0 })
      const description = await parts.add(encodeDescription({ encoding, desc, fields, overflow: [], virtualColumns }))
      entries.push(catalogEdit({ kind: 'parent', parent: { dbOid, oid, schema, name, parents, description } }))
    }
  }
  return entries
}

/** What of the catalog is not as it was. @param entries all of the new state */
export function catalogEdits(before: ReadonlyMap<string, unknown>, entries: readonly CatalogValue[]): (EntryKey & { value?: object })[] {
  const now = new Set(entries.map(({ key }) => key))
  const gone = [...before.keys()].filter((key) => !now.has(key)).map((key) => ({ tree: 'catalog' as const, key }))
  return [...entries.filter(({ key, value }) => !equalJson(before.get(key), value)), ...gone]
}

/** @param selection what the lake takes of the cluster; undefined for all of it */
export function clusterInfo(
  { cluster, plan, selection, options }: Pick<CatalogSource, 'cluster' | 'plan'> & { selection: LakeSelection | undefined; options: MaterializeLakeOptions },
  facts: StateFacts,
): ClusterInfo {
  const { damage, packing, nextXid, pageStore } = facts
  const { pgdata, source, onCorrupt, unknownTransactions = 'hide' } = options
  const { complete } = plan.selection
  const root = realpathSync(pgdata)
  const orphans = complete ? cluster.orphans().map(({ dir, relNumber }) => `${dir.slice(root.length + 1)}/${relNumber}`) : []
  return {
    major: cluster.major, catalogVersion: cluster.control.catalogVersion, blockSize: BLOCK_SIZE, checksums: cluster.checksums,
    createdBy: `ltap ${LTAP_VERSION}`, complete, ...(selection && { selection }), source: realpathSync(source ?? pgdata),
    orphans: orphans.slice(0, ORPHANS_MAX),
    temporaryFiles: complete ? cluster.temp().length : 0, ...(onCorrupt === 'carry' && { unknownTransactions }),
    ...(cluster.guessed && { guessed: true as const }), ...(damage.length > 0 && { damage }), ...replayedOf(cluster), packing, nextXid,
    ...(pageStore !== undefined && { pageStore }),
  }
}

/** So many are listed: a commit has room for no more. */
const ORPHANS_MAX = 1000
