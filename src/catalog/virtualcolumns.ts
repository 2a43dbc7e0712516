import { CorruptionError } from '../common/errors.ts'
import type { ByteWriter } from '../common/bytes.ts'
import type { Oid } from '../common/ids.ts'
import { utf8Decode } from '../common/utf8.ts'
import { codecFor } from '../datum/registry.ts'
import * as catalogs from './catalogs.ts'
import type { PgAttribute, QualifiedName } from './catalogs.ts'
import type { DatabaseCatalog } from './database.ts'
import { deparseExpression, type DeparseNames } from './deparse.ts'
import { quoteIdentifier, typeName } from './sqlname.ts'
import type { TypeDefs } from './typedefs.ts'

/** A generated column that is not stored (attgenerated 'v', Postgres 18): no file holds a value of it. */
export interface VirtualColumn {
  name: string
  /** As format_type writes it, `numeric(10,2)`. */
  type: string
  /** As pg_get_expr writes it; NODE_TREE and the stored tree if a part of it is not known here; UNREADABLE and why if it is damaged. */
  expression: string
}

const NODE_TREE = 'pg_node_tree: '
const UNREADABLE = 'unreadable: '

const PG_CATALOG = 11
const REGCONFIG = 3734

/** Base types whose text is the one of Postgres's output function, whatever the catalogs say. */
const TEXT_TYPES = new Set([
  'bool', 'int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'text', 'varchar', 'bpchar', 'name', 'char', 'bytea', 'json', 'jsonb', 'uuid',
  'date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'inet', 'cidr', 'macaddr', 'macaddr8', 'bit', 'varbit', 'point', 'lseg', 'path',
  'box', 'polygon', 'line', 'circle', 'tsvector', 'tsquery', 'pg_lsn',
])

/** Virtual columns of the relations of one database. Reads pg_attrdef and more when there is one. */
export class VirtualColumns {
  private readonly catalog: DatabaseCatalog
  private readonly types: TypeDefs
  private readonly names = new Map<Oid, ReadonlyMap<Oid, QualifiedName>>()
  private trees: ReadonlyMap<string, Uint8Array> | undefined

  constructor(catalog: DatabaseCatalog, types: TypeDefs) {
    this.catalog = catalog
    this.types = types
  }

  of(relId: Oid): VirtualColumn[] {
    const attributes = this.catalog.attributes(relId)
    return attributes.filter(isVirtual).map((attribute) => ({
      name: attribute.name, type: this.typeName(attribute.type, attribute.typmod) ?? this.catalog.types.get(attribute.type)?.name ?? String(attribute.type),
      expression: this.expression(attribute, attributes),
    }))
  }

  private expression({ relId, attnum }: PgAttribute, attributes: readonly PgAttribute[]): string {
    try {
      this.trees ??= this.readTrees()
      const bytes = this.trees.get(`${relId}/${attnum}`)
      if (bytes === undefined) throw new CorruptionError('catalog.attrdef', 'pg_attrdef has no expression of the column')
      const tree = utf8Decode(bytes)
      return deparseExpression(tree, this.deparseNames(attributes)) ?? `${NODE_TREE}${tree}`
    } catch (error) {
      // Rows do not depend on the expression: if it is damaged, only its text is lost.
      if (!(error instanceof CorruptionError)) throw error
      return `${UNREADABLE}${error.message}`
    }
  }

  private readTrees(): ReadonlyMap<string, Uint8Array> {
    const wanted = (relId: Oid, attnum: number): boolean =>
      this.catalog.attributes(relId).some((attribute) => attribute.attnum === attnum && isVirtual(attribute))
    const rows = this.catalog.read(catalogs.ATTR_DEFAULT_RELATION_ID, (layout) => catalogs.pgAttrdefReader(layout, wanted))
    return new Map(rows.flatMap(({ relId, attnum, tree }) => (tree === undefined ? [] : [[`${relId}/${attnum}`, tree] as const])))
  }

  private deparseNames(attributes: readonly PgAttribute[]): DeparseNames {
    return {
      attribute: (attnum) => attributes.find((attribute) => attribute.attnum === attnum && !attribute.dropped)?.name,
      operator: (oid) => this.operatorName(oid),
      function: (oid) => {
        const found = this.nameOf(catalogs.PROCEDURE_RELATION_ID, 'pro', oid)
        return found && { name: this.qualified(found), builtIn: found.namespace === PG_CATALOG }
      },
      collation: (oid) => {
        const found = this.nameOf(catalogs.COLLATION_RELATION_ID, 'coll', oid)
        return found && this.qualified(found)
      },
      type: (oid, typmod) => this.typeName(oid, typmod),
      value: (type, payload, out) => this.value(type, payload, out),
      length: (type) => this.catalog.types.get(type)?.len,
    }
  }

  private operatorName(oid: Oid): string | undefined {
    const found = this.nameOf(catalogs.OPERATOR_RELATION_ID, 'opr', oid)
    if (found === undefined || found.namespace === PG_CATALOG) return found?.name
    return `OPERATOR(${quoteIdentifier(this.catalog.namespaceName(found.namespace))}.${found.name})`
  }

  private qualified({ name, namespace }: QualifiedName): string {
    return namespace === PG_CATALOG ? quoteIdentifier(name) : `${quoteIdentifier(this.catalog.namespaceName(namespace))}.${quoteIdentifier(name)}`
  }

  private nameOf(catalog: Oid, prefix: string, oid: Oid): QualifiedName | undefined {
    let names = this.names.get(catalog)
    if (names === undefined) {
      const rows = this.catalog.read(catalog, (layout) => catalogs.qualifiedNameReader(layout, prefix, this.catalog.database.encoding))
      names = new Map(rows.map((row) => [row.oid, row]))
      this.names.set(catalog, names)
    }
    return names.get(oid)
  }

  /** Undefined for types that are not the server's own: a virtual column cannot have one. */
  private typeName(oid: Oid, typmod: number): string | undefined {
    const type = this.catalog.types.get(oid)
    if (type === undefined || type.namespace !== PG_CATALOG) return undefined
    const element = type.name.startsWith('_') ? this.catalog.types.get(type.element) : undefined
    if (element === undefined) return typeName(type.name, typmod)
    const name = typeName(element.name, typmod)
    return name && `${name}[]`
  }

  private value(oid: Oid, payload: Uint8Array, out: ByteWriter): boolean {
    if (oid === REGCONFIG) return this.textSearchConfiguration(payload, out)
    const type = this.catalog.types.get(oid)
    const element = type?.name.startsWith('_') ? this.catalog.types.get(type.element) : type
    if (type?.namespace !== PG_CATALOG || element === undefined || !TEXT_TYPES.has(element.name)) return false
    const { encoding } = this.catalog.database
    const types = new Map(this.types.closure([oid]).map((def) => [def.oid, def]))
    codecFor({ oid, typmod: -1 }, { major: this.catalog.major, profile: 'portable', encoding, types, displayScale: 0 }).text(payload, 0, payload.length, out)
    return true
  }

  /** regconfigout: its name, if every search path finds it. */
  private textSearchConfiguration(payload: Uint8Array, out: ByteWriter): boolean {
    const oid = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true)
    const found = this.nameOf(catalogs.TS_CONFIG_RELATION_ID, 'cfg', oid)
    if (found === undefined || found.namespace !== PG_CATALOG) return false
    out.ascii(quoteIdentifier(found.name))
    return true
  }
}

function isVirtual({ generated, dropped }: PgAttribute): boolean {
  return generated === 'v' && !dropped
}
