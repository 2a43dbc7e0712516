import type { Relation } from '../../catalog/relations.ts'
import { CorruptionError } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import type { NotRead } from '../../lake/notread.ts'
import { selectRelations } from '../selection.ts'

export interface ListedRelation {
  /** Null for shared relations. */
  database: string | null
  schema: string
  name: string
  kind: 'table' | 'toast' | 'matview' | 'sequence'
  unlogged: boolean
  /** False if only a prepared transaction or invisible catalog rows name the relation. */
  visible: boolean
  /** False: a materialized view WITH NO DATA, which a server refuses to read. */
  populated: boolean
  oid: number
  /** First segment of the main fork, relative to the data directory. */
  file: string
  /** Null if the files are damaged: see `problem`. */
  blocks: number | null
  bytes: number | null
  /** Bytes behind the last whole block, which no server reads. */
  trailingBytes: number
  problem: string | null
}

const KINDS = { r: 'table', t: 'toast', m: 'matview', S: 'sequence' } as const

/** Heap relations of a cluster, and what was asked for and cannot be given. */
export interface RelationListing {
  relations: ListedRelation[]
  notRead: readonly NotRead[]
}

/**
 * Every heap relation of a cluster, or of some databases.
 * @param exclude patterns of tables to leave out
 * @throws EnvironmentError selection.*
 */
export function listHeapRelations(cluster: DirectoryCluster, databases: readonly string[] = [], exclude: readonly string[] = []): RelationListing {
  const selection = selectRelations(cluster, { databases, tables: [], exclude })
  const relations = selection.databases.flatMap((dbOid) =>
    selection.relations(dbOid).map((relation) => ({ ...identity(relation), ...storage(cluster, relation) })))
  return { relations, notRead: selection.notRead }
}

type Stored = Pick<ListedRelation, 'file' | 'blocks' | 'bytes' | 'trailingBytes' | 'problem'>

function identity({ database, schema, name, relkind, persistence, visible, populated, oid }: Relation): Omit<ListedRelation, keyof Stored> {
  return {
    database: database.oid === 0 ? null : database.name, schema, name, kind: KINDS[relkind], unlogged: persistence === 'u', visible, populated, oid,
  }
}

function storage(cluster: DirectoryCluster, relation: Relation): Stored {
  const file = cluster.relativePath(relation)
  try {
    const { forks: { main: blocks = 0 }, trailingBytes } = cluster.storage(relation)
    return { file, blocks, bytes: blocks * BLOCK_SIZE, trailingBytes, problem: null }
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return { file, blocks: null, bytes: null, trailingBytes: 0, problem: error.message }
  }
}
