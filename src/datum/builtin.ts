import type { Oid } from '../common/ids.ts'
import type { TypeDef } from './typedef.ts'

/** Oid, typlen and typalign (bytes) of the types in pg_catalog that codecs know by name (pg_type.dat): the same in all majors. */
const BUILT_IN: Readonly<Record<string, readonly [oid: Oid, len: number, align: number]>> = Object.assign(Object.create(null), {
  bool: [16, 1, 1], bytea: [17, -1, 4], char: [18, 1, 1], name: [19, 64, 1], int8: [20, 8, 8], int2: [21, 2, 2], int2vector: [22, -1, 4],
  int4: [23, 4, 4], regproc: [24, 4, 4], text: [25, -1, 4], oid: [26, 4, 4], tid: [27, 6, 2], xid: [28, 4, 4], cid: [29, 4, 4],
  oidvector: [30, -1, 4], json: [114, -1, 4], xml: [142, -1, 4], pg_node_tree: [194, -1, 4], point: [600, 16, 8], lseg: [601, 32, 8],
  path: [602, -1, 8], box: [603, 32, 8], polygon: [604, -1, 8], line: [628, 24, 8], cidr: [650, -1, 4], float4: [700, 4, 4],
  float8: [701, 8, 8], circle: [718, 24, 8], macaddr8: [774, 8, 4], money: [790, 8, 8], macaddr: [829, 6, 4], inet: [869, -1, 4],
  bpchar: [1042, -1, 4], varchar: [1043, -1, 4], date: [1082, 4, 4], time: [1083, 8, 8], timestamp: [1114, 8, 8], timestamptz: [1184, 8, 8],
  interval: [1186, 16, 8], timetz: [1266, 12, 8], bit: [1560, -1, 4], varbit: [1562, -1, 4], numeric: [1700, -1, 4], refcursor: [1790, -1, 4],
  regprocedure: [2202, 4, 4], regoper: [2203, 4, 4], regoperator: [2204, 4, 4], regclass: [2205, 4, 4], regtype: [2206, 4, 4],
  uuid: [2950, 16, 1], txid_snapshot: [2970, -1, 8], pg_lsn: [3220, 8, 8], tsvector: [3614, -1, 4], tsquery: [3615, -1, 4],
  regconfig: [3734, 4, 4], regdictionary: [3769, 4, 4], jsonb: [3802, -1, 4], regnamespace: [4089, 4, 4], regrole: [4096, 4, 4],
  regcollation: [4191, 4, 4], pg_snapshot: [5038, -1, 8], xid8: [5069, 8, 8],
})

/** What Postgres gives the built-in type of this name; undefined for any other type. */
export function builtInLayout({ schema, name, kind }: TypeDef): { oid: Oid; len: number; align: number } | undefined {
  const known = schema === 'pg_catalog' && kind === 'base' ? BUILT_IN[name] : undefined
  return known && { oid: known[0], len: known[1], align: known[2] }
}

/** Whether a type with a built-in type's oid is that type: generated code goes by oids, codecs by names. */
export function isBuiltIn(type: TypeDef): boolean {
  const known = builtInLayout(type)
  return known !== undefined && known.oid === type.oid && known.len === type.len && known.align === type.align
}
