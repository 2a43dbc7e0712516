import { ColumnListError } from './columnlisterror.ts'
import type { TypeDef } from '../datum/typedef.ts'
import { alignmentOf } from '../tuple/attribute.ts'
import { builtInClosure } from './builtintypes.ts'
import { ColumnTokens } from './columntokens.ts'
import { parseTypeName, type TypeName } from './typename.ts'
import type { Attribute, TupleDesc } from './tupledesc.ts'

/*
 * The columns of a table as CREATE TABLE has them, for a file without its catalogs:
 *
 *   id int primary key, name varchar(20) not null, price numeric(10,2) default 0, tags text[], "Odd name" timestamp(3) with time zone
 *
 * What does not change the bytes is passed over: constraints, defaults, collations. Three forms are not CREATE TABLE's:
 *
 *   - 4 i                          a dropped column: attlen, and attalign (c, s, i, d) where the length does not tell it
 *   "…pg.dropped.2…" dropped 4 i   the same, as pg_attribute has it
 *   shape raw -1 d                 a column of a type that is not built in: its bytes are shown in hex
 */

/** MaxHeapAttributeNumber (htup_details.h). */
const MAX_COLUMNS = 1600

const TABLE_CONSTRAINTS = ['primary', 'unique', 'constraint', 'foreign', 'check', 'exclude', 'like']
const COLUMN_CONSTRAINTS = [
  'not', 'null', 'default', 'primary', 'unique', 'references', 'check', 'constraint', 'collate', 'generated', 'storage', 'compression', 'deferrable',
  'initially',
]

/** A made-up oid: the type of `raw` columns, whose values are bytes. */
const RAW_OID = 0xfffffff0
const RAW_TYPE: TypeDef = {
  oid: RAW_OID, name: 'raw', schema: 'ltap', kind: 'pseudo', len: -1, align: 4, storage: 'x', delimiter: ',',
}

/** @throws ColumnListError saying what is wrong, and where */
export function parseColumnList(text: string): TupleDesc {
  const tokens = new ColumnTokens(text)
  const attributes: Attribute[] = []
  do {
    if (tokens.atEnd) break
    const attribute = parseItem(tokens, attributes.length + 1)
    if (attribute) attributes.push(attribute)
  } while (tokens.take(','))
  if (!tokens.atEnd) throw tokens.wrong('a comma')
  if (attributes.length === 0) throw new ColumnListError('no column is named')
  if (attributes.length > MAX_COLUMNS) throw new ColumnListError(`${attributes.length} columns, a table has at most ${MAX_COLUMNS}`)
  const seen = new Set<string>()
  for (const { name, dropped } of attributes) {
    if (!dropped && seen.has(name)) throw new ColumnListError(`the column "${name}" is named twice`)
    seen.add(name)
  }
  const oids = attributes.map(({ type }) => type.oid)
  return { attributes, types: [...builtInClosure(oids), ...(oids.includes(RAW_OID) ? [RAW_TYPE] : [])] }
}

/** Undefined for a constraint of the table. */
function parseItem(tokens: ColumnTokens, attnum: number): Attribute | undefined {
  if (tokens.take('-')) return withoutType(tokens, attnum, droppedName(attnum), true)
  if (TABLE_CONSTRAINTS.some((word) => tokens.isWord(word))) {
    tokens.skipItem()
    return undefined
  }
  const name = tokens.name('the name of a column')
  if (tokens.takeWord('dropped')) return withoutType(tokens, attnum, name, true)
  if (tokens.takeWord('raw')) return withoutType(tokens, attnum, name, false)
  const type = parseTypeName(tokens)
  return { ...ofType(type, attnum, name), virtual: parseConstraints(tokens) }
}

function droppedName(attnum: number): string {
  return `........pg.dropped.${attnum}........`
}

function ofType({ oid, typmod, layout }: TypeName, attnum: number, name: string): Attribute {
  return { attnum, name, type: { oid, typmod }, ...layout, dropped: false, virtual: false }
}

function withoutType(tokens: ColumnTokens, attnum: number, name: string, dropped: boolean): Attribute {
  const len = tokens.number('attlen: bytes, or -1 for a type of variable length')
  if (len === 0 || len < -2 || len > 0x7fff) throw new ColumnListError(`attlen ${len} of "${name}": a number of bytes, -1 or -2 is needed`)
  const letter = ['c', 's', 'i', 'd'].find((align) => tokens.takeWord(align)) ?? usualAlignment(len)
  const oid = dropped ? 0 : RAW_OID
  return { attnum, name, type: { oid, typmod: -1 }, len, align: alignmentOf(letter), plain: false, dropped, virtual: false }
}

function usualAlignment(len: number): string {
  return len === -2 || len === 1 ? 'c' : len === 2 ? 's' : len === 8 ? 'd' : 'i'
}

/** Passes over what follows the type; returns whether the column is a virtual generated one, which no tuple holds. */
function parseConstraints(tokens: ColumnTokens): boolean {
  if (tokens.atItemEnd) return false
  if (!COLUMN_CONSTRAINTS.some((word) => tokens.isWord(word))) throw tokens.wrong('a comma or a constraint')
  const words = tokens.skipItem()
  const generated = words.indexOf('generated')
  const isComputed = generated >= 0 && words.slice(generated).includes('(') && !words.slice(generated).includes('identity')
  return isComputed && !words.slice(generated).includes('stored')
}
