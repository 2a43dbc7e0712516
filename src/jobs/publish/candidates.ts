import { CorruptionError } from '../../common/errors.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { StateCatalog } from '../../engine/statecatalog.ts'
import { isPublished, publishedNames } from '../../lake/publishednames.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { parseStateRelation } from '../../lake/staterelation.ts'
import { jsonHash } from './jsonhash.ts'

/** A table of a state that engines are to be shown. */
export interface Candidate {
  readonly dbOid: number
  readonly oid: number
  readonly database: string
  readonly schema: string
  readonly name: string
  /** As engines show it. */
  readonly shown: { readonly namespace: string; readonly name: string }
  /** Where its columns are described. */
  readonly description: PieceRef
  /** Keys of the entries in the tree of layers whose files are its: its own, and those of its partitions and of the tables that inherit from it. */
  readonly parts: readonly string[]
  /** SHA-256 of what the state says of it, in base64url. */
  readonly content: string
  /** A partition, or a table that inherits from it, that the state does not have. */
  readonly missing: string | undefined
}

/** A relation of the state, or a table without pages. */
interface Found extends Omit<Candidate, 'shown' | 'parts' | 'content' | 'missing'> {
  readonly parents: readonly number[]
  readonly key: string | undefined
  readonly text: string
}

/** All of them. @throws CorruptionError lake.state */
export async function publicationCandidates(
  snapshot: Snapshot, { databases, parents, notRead }: Pick<StateCatalog, 'databases' | 'parents' | 'notRead'>,
): Promise<Candidate[]> {
  const names = new Map(databases.map(({ oid, name }) => [oid, name]))
  const databaseOf = (dbOid: number, key: string): string => {
    const name = names.get(dbOid)
    if (name !== undefined) return name
    throw new CorruptionError('lake.state', `the entry ${key} is damaged: it is of database ${dbOid}, and the state has no such database`)
  }
  const found: Found[] = []
  await snapshot.scan('layers', (key, value) => {
    const { locator: { dbOid }, info } = parseStateRelation(key, value)
    if (dbOid === 0 || !isPublished(info)) return
    const { oid, schema, name, description, parents: above } = info
    found.push({ dbOid, oid, database: databaseOf(dbOid, key), schema, name, description, parents: above, key, text: jsonHash(value) })
  })
  for (const { description, ...parent } of parents) {
    if (!isPublished({ ...parent, relkind: 'p', visible: true })) continue
    const { dbOid, oid, schema, name, parents: above } = parent
    const database = databaseOf(dbOid, `parent/${dbOid}/${oid}`)
    found.push({ dbOid, oid, database, schema, name, description, parents: above, key: undefined, text: jsonHash([parent, description]) })
  }
  const shown = publishedNames(found)
  const children = childrenOf(found)
  const oids = new Map(databases.map(({ oid, name }) => [name, oid]))
  const missing = new Map(notRead.flatMap(({ database, parents: above = [], schema, name }) => (
    above.map((parent): [string, string] => [`${oids.get(database ?? '') ?? 0}/${parent}`, `${schema}.${name}`]))))
  return found.map(({ parents: _parents, key: _key, text: _text, ...table }) => {
    const tree = treeOf(idOf(table), children)
    return {
      ...table, missing: tree.map((part) => missing.get(idOf(part))).find((part) => part !== undefined), shown: shown.get(idOf(table))!,
      parts: tree.flatMap(({ key }) => (key === undefined ? [] : [key])), content: jsonHash(tree.map(({ text }) => text)),
    }
  })
}

function idOf({ dbOid, oid }: { dbOid: number; oid: number }): string {
  return `${dbOid}/${oid}`
}

/** By id: the table itself, then those below it. */
function childrenOf(found: readonly Found[]): Map<string, { table: Found; below: string[] }> {
  const nodes = new Map(found.map((table) => [idOf(table), { table, below: [] as string[] }]))
  for (const { dbOid, oid, parents } of [...found].sort((a, b) => a.oid - b.oid)) {
    for (const parent of parents) nodes.get(`${dbOid}/${parent}`)?.below.push(`${dbOid}/${oid}`)
  }
  return nodes
}

/** A table may inherit from another one on several ways: it is there once. */
function treeOf(top: string, nodes: ReadonlyMap<string, { table: Found; below: readonly string[] }>): Found[] {
  const seen = new Set<string>()
  const tree: Found[] = []
  const visit = (id: string): void => {
    if (seen.has(id)) return
    seen.add(id)
    const { table, below } = nodes.get(id)!
    tree.push(table)
    below.forEach(visit)
  }
  visit(top)
  return tree
}
