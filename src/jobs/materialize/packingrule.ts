import type { Relation } from '../../catalog/relations.ts'
import { tablesNamed } from '../../catalog/tablename.ts'
import type { Packing } from '../../lake/clusterinfo.ts'
import { isUserTable } from '../../lake/viewnames.ts'

/** Decides which relations lie in packs. */
export class PackingRule {
  readonly packing: Packing
  private readonly used = new Set<string>()

  constructor(packing: Packing) {
    this.packing = packing
  }

  /** @param length in blocks */
  isPacked(relation: Relation, length: number): boolean {
    const { threshold, below, tables = [] } = this.packing
    if (!isUserTable(relation)) return length < threshold
    const named = tables.findLast(({ table }) => tablesNamed([relation], table).length > 0)
    if (named !== undefined) this.used.add(named.table)
    return length < (named?.below ?? below)
  }

  /** A sentence for each table that an option names and none of the relations so far is. */
  unused({ tables = [] }: Partial<Packing> = {}): string[] {
    return tables.filter(({ table }) => !this.used.has(table)).map(({ table }) => (
      `--pack-below names ${table}, and the cluster has no such table: write it as schema.name, quoted as in psql`))
  }
}
