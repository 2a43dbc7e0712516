/** Which tables a changed tuple of a catalog is about: all others are as they were. */
import type { Relation } from '../../src/catalog/relations.ts'
import type { ChangedTuple } from './forgedbytes.ts'

/** Oids of what every table is read with: the row of the heap access method, its handler, schema pg_catalog. */
const NEEDED_BY_ALL: Readonly<Record<string, readonly number[]>> = { pg_am: [2], pg_proc: [3], pg_namespace: [11] }
/** Below it are the relations of initdb. */
const FIRST_NORMAL_OID = 16384
/** Catalogs that describe themselves in pg_class and pg_attribute, and that reading of tables needs: by their oid. */
const CATALOGS_NEEDED = new Set([1247, 1249, 1259, 1255, 1262, 2600, 2601, 2604, 2608, 2611, 2615, 3079, 3501, 3541])

export class CatalogReach {
  /** A tuple that every table is read with. */
  all = false
  private readonly dbOid: number
  private readonly tables: readonly Relation[]
  private readonly relations = new Set<number>()
  private readonly types = new Set<number>()

  constructor(dbOid: number, tables: readonly Relation[]) {
    this.dbOid = dbOid
    this.tables = tables
  }

  /** Whether one of the changed tuples is about this table. */
  has({ oid, toastRelId, desc }: Relation): boolean {
    if (this.all || this.relations.has(oid) || this.relations.has(toastRelId)) return true
    const { attributes = [], types = [] } = desc ?? {}
    return [...attributes.map(({ type }) => type.oid), ...types.map((type) => type.oid)].some((type) => this.types.has(type)) ||
      // The attributes of a composite type are those of its own relation.
      (types.some(({ kind }) => kind === 'composite') && [...this.relations].some((relation) => !this.isTable(relation)))
  }

  add(catalog: string, { before, after }: ChangedTuple): void {
    for (const [header, bytes] of [[before, before], [after, after], [before, after]] as const) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      const word = (n: number): number => {
        const at = header[22]! + n * 4
        return at + 4 <= bytes.length ? view.getUint32(at, true) : 0
      }
      this.addRow(catalog, word)
    }
  }

  private addRow(catalog: string, word: (n: number) => number): void {
    switch (catalog) {
      case 'pg_class':
      case 'pg_attribute':
        this.relations.add(word(0))
        this.all ||= CATALOGS_NEEDED.has(word(0))
        break
      case 'pg_type':
        this.types.add(word(0))
        break
      case 'pg_enum':
        this.types.add(word(1))
        break
      case 'pg_range':
        for (const n of [0, 1, 2]) this.types.add(word(n))
        break
      case 'pg_depend':
        this.types.add(word(1))
        break
      case 'pg_database':
        this.all ||= word(0) === this.dbOid
        break
      default:
        this.all ||= NEEDED_BY_ALL[catalog]?.includes(word(0)) ?? false
    }
  }

  private isTable(oid: number): boolean {
    return this.tables.some((table) => table.oid === oid || table.toastRelId === oid) || oid < FIRST_NORMAL_OID
  }
}
