import { attributeOf } from '../catalog/builddesc.ts'
import { type PgAttribute, pgAttributeReader } from '../catalog/catalogs.ts'
import { bootstrapLayouts } from '../catalog/layout.ts'
import { CatalogTuple } from '../catalog/scan.ts'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import type { Oid, WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { FullXid } from '../xact/transactionstate.ts'
import { forEachTuple } from './pagetuples.ts'
import { nearestFullXid, type TransactionEnds } from './transactionends.ts'

/**
 * A version of a pg_attribute row: how the column is stored, and the full xids of the transactions that made and ended the version; 0 without one.
 */
interface StoredForm {
  attnum: number
  form: string
  inserter: number
  deleter: number
}

/** What the versions of a table's pg_attribute rows said in a range of WAL, whether they committed or not. */
export class AttributeHistory {
  private readonly tuple: CatalogTuple
  private readonly read: (tuple: CatalogTuple) => PgAttribute | undefined
  private readonly forms = new Map<string, StoredForm>()
  private readonly missing = new Map<number, PgAttribute>()

  constructor(major: PgMajor, oid: Oid, encoding: number) {
    const { pgAttribute } = bootstrapLayouts(major)
    this.tuple = new CatalogTuple(pgAttribute, undefined)
    this.read = pgAttributeReader(pgAttribute, encoding, (relId) => relId === oid)
  }

  /** Adds the rows on a page of pg_attribute. @throws CorruptionError page.*, tuple.*, catalog.* */
  addPage(page: Uint8Array, next: FullXid, mayBeTorn = false): void {
    forEachTuple(page, mayBeTorn, (start, length) => {
      this.tuple.load(page, start, length, () => true)
      const row = this.read(this.tuple)
      if (row !== undefined) this.add(row, next)
    })
  }

  /**
   * How tuples of another file than the present one read: a rewrite writes the values that a column added before had in tuples without
   * it, and the catalog forgets them.
   * @param desc as it is now
   * @param since when the table had the file first; undefined if no committed row names it as the table's
   * @returns undefined if a column was stored in another way then, or may have been
   */
  earlierDesc(desc: TupleDesc, ends: TransactionEnds, since: WalPosition | undefined): TupleDesc | undefined {
    for (const version of this.forms.values()) if (!this.isPresentForm(desc, version) && !isOver(version, ends, since)) return undefined
    const attributes = desc.attributes.map((attribute) => {
      const row = this.missing.get(attribute.attnum)
      const missing = row === undefined || attribute.dropped ? undefined : attributeOf(row).missing
      return attribute.missing === undefined && missing !== undefined ? { ...attribute, missing } : attribute
    })
    return { ...desc, attributes }
  }

  private isPresentForm({ attributes }: TupleDesc, { attnum, form }: StoredForm): boolean {
    const attribute = attributes[attnum - 1]
    // A column of an aborted ADD COLUMN: tuples with it have more attributes than the table, which tells.
    if (attribute === undefined) return true
    const { type, len, align, dropped } = attribute
    // RemoveAttributeById (heap.c) sets atttypid to 0 and leaves attlen and attalign, since old tuples must still be readable.
    return dropped ? form.endsWith(` ${len} ${align}`) : form === `${type.oid} ${len} ${align}`
  }

  private add(row: PgAttribute, next: FullXid): void {
    if (row.missing !== undefined) this.missing.set(row.attnum, row)
    if (row.dropped) return
    const { xmin, xmax } = this.tuple.header
    const form = `${row.type} ${row.len} ${row.align}`
    const key = `${row.attnum} ${xmin} ${form}`
    const deleter = xmax === 0 ? this.forms.get(key)?.deleter ?? 0 : nearestFullXid(xmax, next)
    this.forms.set(key, { attnum: row.attnum, form, inserter: nearestFullXid(xmin, next), deleter })
  }
}

/** Whether this version of the pg_attribute row was never valid, or no longer valid when the table got the file. */
function isOver({ inserter, deleter }: StoredForm, ends: TransactionEnds, since: WalPosition | undefined): boolean {
  if (since === undefined) return false
  if (ends.find(inserter)?.committed === false) return true
  const end = ends.find(deleter)
  return end?.committed === true && end.endLsn <= since
}
