import { addLaneCounts, newLaneCounts } from '../../columnar/lanes.ts'
import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog, type StateCatalog } from '../../engine/statecatalog.ts'
import type { ClusterInfo, PartitionedTable } from '../../lake/clusterinfo.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { isPathOf, type LakeRelation, type Manifest } from '../../lake/manifest.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { type PieceRef, STATE_FORMAT } from '../../lake/state/page.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import { openState } from './openlake.ts'

/**
 * A state of a lake as a manifest of format 1 says it, so that what is chosen, named and compared is the same for both formats. Its relations have no
 * files and no columns: {@link relation} gets those of one, so that the memory for 100,000 relations does not grow with their layers.
 */
export class StateManifest {
  readonly manifest: Manifest
  readonly snapshot: Snapshot
  readonly cluster: ClusterInfo
  /** By relation: the key of its entry, or the parent without pages. */
  private readonly origins: ReadonlyMap<LakeRelation, string | PartitionedTable>

  private constructor(
    manifest: Manifest, snapshot: Snapshot, cluster: ClusterInfo, origins: ReadonlyMap<LakeRelation, string | PartitionedTable>,
  ) {
    this.manifest = manifest
    this.cluster = cluster
    this.snapshot = snapshot
    this.origins = origins
  }

  /** @throws EnvironmentError lake.empty; CorruptionError, UnsupportedError lake.* */
  static async read(lake: Lake, snapshot: Snapshot): Promise<StateManifest> {
    const catalog = await readCatalog(snapshot)
    const databases = new Map(catalog.databases.map(({ oid, name }) => [oid, name]))
    const origins = new Map<LakeRelation, string | PartitionedTable>()
    const relations: LakeRelation[] = []
    const paths = new Set<string>()
    await snapshot.scan('layers', (key, value) => {
      const found = parseStateRelation(key, value)
      checkPath(found, paths)
      const relation = storedRelation(found, databaseName(found.locator.dbOid, databases, key))
      relations.push(relation)
      origins.set(relation, key)
    })
    relations.sort((a, b) => a.dbOid - b.dbOid || a.oid - b.oid || a.relNumber - b.relNumber)
    for (const parent of catalog.parents) {
      const relation = parentRelation(parent, databaseName(parent.dbOid, databases, `parent/${parent.dbOid}/${parent.oid}`))
      relations.push(relation)
      origins.set(relation, parent)
    }
    return new StateManifest(manifestOf(lake, snapshot, catalog, relations), snapshot, catalog.cluster, origins)
  }

  /** Relations with pages, as their entries follow each other: neighbours are on one page of the state, which is read once. */
  stored(): LakeRelation[] {
    const found = [...this.origins].filter((origin): origin is [LakeRelation, string] => typeof origin[1] === 'string')
    return found.sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([relation]) => relation)
  }

  /** Layers of a relation with pages; undefined for a parent without. @throws CorruptionError lake.* */
  async relation(relation: LakeRelation): Promise<StateRelation | undefined> {
    const key = this.origins.get(relation)
    if (typeof key !== 'string') return undefined
    const entry: EntryKey = { tree: 'layers', key }
    const [value] = await this.snapshot.get([entry])
    return parseStateRelation(key, value)
  }

  /** Where the columns of a relation are described. */
  async description(relation: LakeRelation): Promise<PieceRef> {
    const origin = this.origins.get(relation)
    return typeof origin === 'object' ? origin.description : (await this.relation(relation))!.info.description
  }
}

/**
 * The state of a branch, default `main`, at the LSN that `wanted` gives for the newest one; without one the newest: the caller compares LSNs and says
 * what is wrong.
 */
export async function readStateAt(lake: Lake, branch: string | undefined, wanted: (newest: Manifest) => string | undefined): Promise<StateManifest> {
  const newest = await StateManifest.read(lake, await openState(lake, 'newest', branch))
  const lsn = wanted(newest.manifest)
  if (lsn === undefined || lsn === newest.manifest.lsn) return newest
  try {
    return await StateManifest.read(lake, await openState(lake, { lsn }, branch))
  } catch (error) {
    if (error instanceof EnvironmentError && error.code === 'lake.no-state') return newest
    throw error
  }
}

function databaseName(oid: number, databases: ReadonlyMap<number, string>, key: string): string | null {
  if (oid === 0) return null
  const name = databases.get(oid)
  if (name !== undefined) return name
  throw new CorruptionError('lake.state', `the entry ${key} is damaged: it is of database ${oid}, and the state has no such database`)
}

/** Rebuild takes its file from here. */
function checkPath({ entry, info: { path }, locator }: StateRelation, paths: Set<string>): void {
  const problem = isPathOf(path, locator) ? paths.has(path) ? 'is of another relation, too' : undefined : 'is not that of the relation'
  if (problem !== undefined) throw new CorruptionError('lake.state', `the entry ${entry.key} of ${entry.tree} is damaged: its path ${path} ${problem}`)
  paths.add(path)
}

function storedRelation({ locator, info, layers }: StateRelation, database: string | null): LakeRelation {
  const { schema, name, oid, relkind, persistence, path, visible, populated, toastRelId, parents, trailingBytes } = info
  const { length, files } = new CurrentRelation(layers)
  const lanes = newLaneCounts()
  for (const { file, current } of files) if (current.size > 0) addLaneCounts(lanes, file.lanes)
  return {
    database, schema, name, oid, relkind, persistence, ...locator, path, forks: { main: length }, visible, ...(populated === false && { populated }),
    toastRelId, parents, columns: [], overflow: false, files: [], lanes, ...(trailingBytes !== undefined && { trailingBytes }),
  }
}

function parentRelation({ dbOid, oid, schema, name, parents }: PartitionedTable, database: string | null): LakeRelation {
  return {
    database, schema, name, oid, relkind: 'p', persistence: 'p', spcOid: 0, dbOid, relNumber: 0, path: '', forks: {}, visible: true, toastRelId: 0, parents,
    columns: [], overflow: false, files: [], lanes: newLaneCounts(),
  }
}

function manifestOf(lake: Lake, { state }: Snapshot, { cluster, databases, notRead }: StateCatalog, relations: readonly LakeRelation[]): Manifest {
  const { systemIdentifier, profile } = lake.format
  const { major, catalogVersion, blockSize, checksums, createdBy, source, complete, orphans, temporaryFiles, unknownTransactions, guessed, damage } = cluster
  const rows = relations.reduce((sum, { lanes }) => sum + lanes.unknownStatus, 0)
  return {
    format: STATE_FORMAT, createdBy, profile, systemIdentifier, major, catalogVersion, blockSize, checksums, lsn: state.lsn, timeline: state.timeline, source,
    complete, databases, relations, orphans, temporaryFiles, notRead,
    ...(unknownTransactions && { unknownTransactions: { policy: unknownTransactions, rows } }),
    ...(guessed && { guessed }), ...(damage && { damage }),
  }
}
