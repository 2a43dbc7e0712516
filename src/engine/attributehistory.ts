import { attributeOf } from '../catalog/builddesc.ts'
import { type PgAttribute, pgAttributeReader } from '../catalog/catalogs.ts'
import { bootstrapLayouts } from '../catalog/layout.ts'
import { CatalogTuple } from '../catalog/scan.ts'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import type { Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { forEachTuple } from './pagetuples.ts'

/** What the versions of a table's pg_attribute rows said in a range of WAL, whether they committed or not. */
export class AttributeHistory {
  private readonly tuple: CatalogTuple
  private readonly read: (tuple: CatalogTuple) => PgAttribute | undefined
  /** Storage of each attribute by attnum, as text: more than one if its type changed. */
  private readonly forms = new Map<number, Set<string>>()
  private readonly missing = new Map<number, PgAttribute>()

  constructor(major: PgMajor, oid: Oid, encoding: number) {
    const { pgAttribute } = bootstrapLayouts(major)
    this.tuple = new CatalogTuple(pgAttribute, undefined)
    this.read = pgAttributeReader(pgAttribute, encoding, (relId) => relId === oid)
  }

  /** A page of pg_attribute. @throws CorruptionError page.*, tuple.*, catalog.* */
  addPage(page: Uint8Array, mayBeTorn = false): void {
    forEachTuple(page, mayBeTorn, (start, length) => {
      this.tuple.load(page, start, length, () => true)
      const row = this.read(this.tuple)
      if (row !== undefined) this.add(row)
    })
  }

  /**
   * How tuples of the table's earlier files read: a rewrite writes the values that a column added before had in tuples without it, and
   * the catalog forgets them.
   * @param desc as it is now
   * @returns undefined if a column had another type: then no one descriptor fits them
   */
  earlierDesc(desc: TupleDesc): TupleDesc | undefined {
    for (const forms of this.forms.values()) if (forms.size > 1) return undefined
    const attributes = desc.attributes.map((attribute) => {
      const row = this.missing.get(attribute.attnum)
      const missing = row === undefined || attribute.dropped ? undefined : attributeOf(row).missing
      return attribute.missing === undefined && missing !== undefined ? { ...attribute, missing } : attribute
    })
    return { ...desc, attributes }
  }

  private add(row: PgAttribute): void {
    const { attnum, type, len, align, dropped } = row
    // A dropped one keeps its form; its type is no longer said.
    if (!dropped) this.forms.set(attnum, (this.forms.get(attnum) ?? new Set()).add(`${type} ${len} ${align}`))
    if (row.missing !== undefined) this.missing.set(attnum, row)
  }
}
