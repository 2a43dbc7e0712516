import type { TupleDesc } from '../../catalog/tupledesc.ts'
import { type FieldHistory, grownColumnFields, type GrownFields, grownLeafFields } from '../../columnar/fieldhistory.ts'
import type { SchemaContext } from '../../columnar/schema.ts'
import type { Oid } from '../../common/ids.ts'
import { parseCatalogEntry } from '../../lake/clusterinfo.ts'
import type { TableDescription } from '../../lake/relationinfo.ts'
import { parseStateRelation } from '../../lake/staterelation.ts'
import type { PlannedRelations } from '../plannedrelations.ts'
import type { PreviousState } from './previousstate.ts'

/** What fields depend on that is the same for all tables. */
export type FieldsContext = Pick<SchemaContext, 'major' | 'profile' | 'extensions'>

/** A table of a partition or inheritance tree. */
interface Member {
  readonly dbOid: Oid
  readonly oid: Oid
  readonly parents: readonly Oid[]
  readonly encoding: number
  readonly desc: TupleDesc
}

/**
 * Fields of the tables of partition and inheritance trees, which belong to the root of the tree: engines read all files of a tree as one table. A table
 * whose parents lead to several roots keeps fields of its own.
 */
export class TreeFields {
  private readonly fields: ReadonlyMap<string, GrownFields>

  private constructor(fields: ReadonlyMap<string, GrownFields>) {
    this.fields = fields
  }

  /** @throws CorruptionError lake.* of the state before */
  static async read({ selection }: PlannedRelations, before: PreviousState | undefined, context: FieldsContext): Promise<TreeFields> {
    const fields = new Map<string, GrownFields>()
    for (const dbOid of selection.databases) {
      const members: Member[] = [...selection.relations(dbOid).filter(({ relkind }) => relkind === 'r'), ...selection.parents(dbOid)].flatMap((relation) => {
        const { oid, parents, database: { encoding }, desc } = relation
        return desc === undefined ? [] : [{ dbOid, oid, parents, encoding, desc }]
      })
      for (const [root, tree] of treesOf(members)) await growTree(root, tree, before, context, fields)
    }
    return new TreeFields(fields)
  }

  /** Undefined for a table that is in no tree. */
  of(dbOid: Oid, oid: Oid): GrownFields | undefined {
    return this.fields.get(`${dbOid}/${oid}`)
  }
}

/** The members below each root, by oid. */
function treesOf(members: readonly Member[]): Map<Member, Member[]> {
  const byOid = new Map(members.map((member) => [member.oid, member]))
  const roots = new Map<Oid, ReadonlySet<Oid>>()
  const rootsOf = (oid: Oid): ReadonlySet<Oid> => {
    const known = roots.get(oid)
    if (known) return known
    // A damaged catalog may have a circle: what is asked for a second time has no root.
    roots.set(oid, new Set())
    const parents = byOid.get(oid)!.parents.filter((parent) => byOid.has(parent))
    const found = parents.length === 0 ? new Set([oid]) : new Set(parents.flatMap((parent) => [...rootsOf(parent)]))
    roots.set(oid, found)
    return found
  }
  const trees = new Map<Member, Member[]>()
  for (const member of [...members].sort((a, b) => a.oid - b.oid)) {
    const [root, ...others] = rootsOf(member.oid)
    if (root === undefined || root === member.oid || others.length > 0) continue
    const top = byOid.get(root)!
    trees.set(top, [...trees.get(top) ?? [], member])
  }
  return trees
}

async function growTree(
  root: Member, members: readonly Member[], before: PreviousState | undefined, context: FieldsContext, fields: Map<string, GrownFields>,
): Promise<void> {
  const grownRoot = grownColumnFields(await fieldsBefore(root, before), contextOf(root, context))
  let own: FieldHistory = grownRoot.history
  for (const member of members) {
    const grown = grownLeafFields(own, root.oid, await fieldsBefore(member, before), contextOf(member, context))
    own = grown.root
    fields.set(`${member.dbOid}/${member.oid}`, grown)
  }
  grownRoot.history = own
  fields.set(`${root.dbOid}/${root.oid}`, grownRoot)
}

function contextOf({ encoding, desc }: Member, context: FieldsContext): SchemaContext {
  return { ...context, encoding, desc, displayScales: {}, pageFlags: 0 }
}

async function fieldsBefore({ dbOid, oid }: Member, before: PreviousState | undefined): Promise<FieldHistory | undefined> {
  return before && (await tableBefore(before, dbOid, oid))?.fields
}

/** What the state before says of a table, partitioned or not. */
async function tableBefore(before: PreviousState, dbOid: Oid, oid: Oid): Promise<TableDescription | undefined> {
  const key = before.table(dbOid, oid)
  if (key !== undefined) {
    const [value] = await before.snapshot.get([{ tree: 'layers', key }])
    return await before.description(parseStateRelation(key, value).info.description)
  }
  const parent = `parent/${dbOid}/${oid}`
  const value = before.catalog.get(parent)
  const entry = value === undefined ? undefined : parseCatalogEntry(parent, value)
  return entry?.kind === 'parent' ? await before.description(entry.parent.description) : undefined
}
