import { CorruptionError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import { EXTENSION_TYPES } from '../datum/extensiontypes.ts'
import type { CompositeField, TypeDef } from '../datum/typedef.ts'
import { builtInClosure } from './builtintypes.ts'
import type { PgAttribute, PgEnum, PgProc, PgRange, PgType } from './catalogs.ts'

/** F_ARRAY_IN: typinput of every true array, and of nothing else (int2vector and oidvector have their own). */
const ARRAY_IN = 750
/** FirstNormalObjectId: every type that initdb makes is below. */
const FIRST_NORMAL_OID = 16384

export interface TypeCatalogs {
  types: ReadonlyMap<Oid, PgType>
  enums: readonly PgEnum[]
  ranges: readonly PgRange[]
  /** Attributes of a relation in attnum order. */
  attributes: (relId: Oid) => readonly PgAttribute[]
  namespaceName: (oid: Oid) => string
  /** Reads pg_proc. */
  functions: (oids: ReadonlySet<Oid>) => readonly PgProc[]
  /** Extension by oid of the type that it owns. Reads pg_depend. */
  extensionTypes: () => ReadonlyMap<Oid, string>
  /** With `carry`, rows of pg_type may be missing: a built-in type that has no row has its definition of pg_type.dat. */
  tolerant: boolean
}

/** Makes TypeDefs from the catalogs of one database; each type is made once. */
export class TypeDefs {
  private readonly catalogs: TypeCatalogs
  private readonly made = new Map<Oid, TypeDef>()
  private readonly labels = new Map<Oid, PgEnum[]>()
  private readonly ranges = new Map<Oid, PgRange>()
  private readonly multiranges = new Map<Oid, PgRange>()
  private namesakes: ReadonlySet<Oid> | undefined

  constructor(catalogs: TypeCatalogs) {
    this.catalogs = catalogs
    for (const label of catalogs.enums) {
      const labels = this.labels.get(label.type)
      if (labels) labels.push(label)
      else this.labels.set(label.type, [label])
    }
    for (const range of catalogs.ranges) {
      this.ranges.set(range.type, range)
      this.multiranges.set(range.multirange, range)
    }
  }

  /**
   * The types and every type they are made of, recursively, in order of first mention. Oid 0 (a dropped attribute) is skipped.
   * @throws CorruptionError catalog.type when the catalogs don't hold one
   */
  closure(roots: Iterable<Oid>): TypeDef[] {
    const found = new Set<TypeDef>()
    const pending = [...roots].reverse()
    for (let oid = pending.pop(); oid !== undefined; oid = pending.pop()) {
      if (oid === 0) continue
      const type = this.typeDef(oid)
      if (found.has(type)) continue
      found.add(type)
      pending.push(...mentioned(type).reverse())
    }
    return [...found]
  }

  private keep(type: TypeDef): TypeDef {
    this.made.set(type.oid, type)
    return type
  }

  private typeDef(oid: Oid): TypeDef {
    const known = this.made.get(oid)
    if (known) return known
    const row = this.catalogs.types.get(oid)
    const builtIn = !row && this.catalogs.tolerant ? builtInClosure([oid]).find((type) => type.oid === oid) : undefined
    if (builtIn) return this.keep(builtIn)
    if (!row) throw new CorruptionError('catalog.type', `pg_type has no type ${oid}`)
    const type: TypeDef = {
      oid, name: row.name, schema: this.catalogs.namespaceName(row.namespace), kind: kindOf(row), len: row.len, align: row.align,
      storage: row.storage, delimiter: row.delimiter, ...this.details(row),
    }
    this.made.set(oid, type)
    return type
  }

  private details(row: PgType): Pick<TypeDef, 'element' | 'base' | 'labels' | 'fields' | 'subtype' | 'opaque'> {
    switch (kindOf(row)) {
      case 'array':
        return { element: row.element }
      case 'domain':
        return { base: { oid: row.base, typmod: row.typmod } }
      case 'enum': {
        const labels = (this.labels.get(row.oid) ?? []).sort((a, b) => a.sortOrder - b.sortOrder)
        return { labels: labels.map(({ oid, label }) => [oid, label] as const) }
      }
      case 'composite':
        return { fields: this.catalogs.attributes(row.relId).map(compositeField) }
      case 'range':
        return { subtype: required(this.ranges.get(row.oid), row).subtype }
      case 'multirange':
        return { subtype: required(this.multiranges.get(row.oid), row).type }
      case 'base':
        return this.isNamesake(row) ? { opaque: true } : {}
      default:
        return {}
    }
  }

  /** Whether the type has the name of one that has a codec, but is not that one. */
  private isNamesake(row: PgType): boolean {
    if (this.catalogs.namespaceName(row.namespace) === 'pg_catalog') return row.oid >= FIRST_NORMAL_OID
    if (!EXTENSION_TYPES.has(row.name)) return false
    this.namesakes ??= namesakesOfExtensionTypes(this.catalogs)
    return this.namesakes.has(row.oid)
  }
}

/** Types outside pg_catalog that are named as an extension's, but are not its own or not made with its function. */
function namesakesOfExtensionTypes({ types, functions, extensionTypes }: TypeCatalogs): Set<Oid> {
  const named = [...types.values()].filter(({ name }) => EXTENSION_TYPES.has(name))
  const owners = extensionTypes()
  const symbols = new Map(functions(new Set(named.map(({ input }) => input))).map(({ oid, symbol }) => [oid, symbol]))
  return new Set(named.filter(({ oid, name, input }) => {
    const expected = EXTENSION_TYPES.get(name)!
    return owners.get(oid) !== expected.extension || symbols.get(input) !== expected.input
  }).map(({ oid }) => oid))
}

function kindOf(row: PgType): TypeDef['kind'] {
  switch (row.type) {
    case 'b':
      return row.len === -1 && row.element !== 0 && row.input === ARRAY_IN ? 'array' : 'base'
    case 'c':
      return 'composite'
    case 'd':
      return 'domain'
    case 'e':
      return 'enum'
    case 'm':
      return 'multirange'
    case 'p':
      return 'pseudo'
    case 'r':
      return 'range'
    default:
      throw new CorruptionError('catalog.type', `type ${row.oid} has typtype '${row.type}'`)
  }
}

function compositeField({ name, type, typmod, len, align, storage, dropped }: PgAttribute): CompositeField {
  return { name, type: { oid: type, typmod }, len, align, plain: storage === 'p', dropped }
}

function mentioned(type: TypeDef): Oid[] {
  const oids = (type.fields ?? []).map((field) => field.type.oid)
  if (type.element !== undefined) oids.push(type.element)
  if (type.base) oids.push(type.base.oid)
  if (type.subtype !== undefined) oids.push(type.subtype)
  return oids
}

function required(range: PgRange | undefined, row: PgType): PgRange {
  if (!range) throw new CorruptionError('catalog.type', `pg_range has no row for type ${row.oid}`)
  return range
}
