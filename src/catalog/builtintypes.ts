import { alignmentOf } from '../tuple/attribute.ts'
import type { TypeDef } from '../datum/typedef.ts'

/** pg_type.dat, the same in all majors we read: name, oid, oid of the array type, typlen, typalign, typstorage, and typdelim if it is no comma. */
const BASE_TYPES = `
  bool 16 1000 1 c p, bytea 17 1001 -1 i x, char 18 1002 1 c p, name 19 1003 64 c p, int8 20 1016 8 d p, int2 21 1005 2 s p,
  int4 23 1007 4 i p, regproc 24 1008 4 i p, text 25 1009 -1 i x, oid 26 1028 4 i p, tid 27 1010 6 s p, xid 28 1011 4 i p, cid 29 1012 4 i p,
  json 114 199 -1 i x, xml 142 143 -1 i x, point 600 1017 16 d p, lseg 601 1018 32 d p, path 602 1019 -1 d x, box 603 1020 32 d p ;,
  polygon 604 1027 -1 d x, line 628 629 24 d p, cidr 650 651 -1 i m, float4 700 1021 4 i p, float8 701 1022 8 d p, circle 718 719 24 d p,
  macaddr8 774 775 8 i p, money 790 791 8 d p, macaddr 829 1040 6 i p, inet 869 1041 -1 i m, bpchar 1042 1014 -1 i x, varchar 1043 1015 -1 i x,
  date 1082 1182 4 i p, time 1083 1183 8 d p, timestamp 1114 1115 8 d p, timestamptz 1184 1185 8 d p, interval 1186 1187 16 d p,
  timetz 1266 1270 12 d p, bit 1560 1561 -1 i x, varbit 1562 1563 -1 i x, numeric 1700 1231 -1 i m, refcursor 1790 2201 -1 i x,
  regprocedure 2202 2207 4 i p, regoper 2203 2208 4 i p, regoperator 2204 2209 4 i p, regclass 2205 2210 4 i p, regtype 2206 2211 4 i p,
  uuid 2950 2951 16 c p, txid_snapshot 2970 2949 -1 d x, pg_lsn 3220 3221 8 d p, tsvector 3614 3643 -1 i x, tsquery 3615 3645 -1 i p,
  regconfig 3734 3735 4 i p, regdictionary 3769 3770 4 i p, jsonb 3802 3807 -1 i x, jsonpath 4072 4073 -1 i x, regnamespace 4089 4090 4 i p,
  regrole 4096 4097 4 i p, regcollation 4191 4192 4 i p, pg_snapshot 5038 5039 -1 d x, xid8 5069 271 8 d p`

/** pg_range.dat: name, oid, oid of the array type, subtype, typalign; then the multirange's name, oid and array type. */
const RANGE_TYPES = `
  int4range 3904 3905 23 i int4multirange 4451 6150, numrange 3906 3907 1700 i nummultirange 4532 6151,
  tsrange 3908 3909 1114 d tsmultirange 4533 6152, tstzrange 3910 3911 1184 d tstzmultirange 4534 6153,
  daterange 3912 3913 1082 i datemultirange 4535 6155, int8range 3926 3927 20 d int8multirange 4536 6157`

/** Types of extensions whose values are read by their name alone: varlena. Their oids differ; these are made up. */
const EXTENSION_TYPES = ['citext', 'hstore', 'ltree', 'cube', 'vector', 'halfvec', 'sparsevec', 'geometry', 'geography']
const MADE_UP_OIDS = 0xffff0000

export interface BuiltInType {
  type: TypeDef
  /** Oid of its array type. */
  array: number
}

const TYPES = new Map<string, BuiltInType>([...baseTypes(), ...rangeTypes(), ...extensionTypes()].map((entry) => [entry.type.name, entry]))
const BY_OID = new Map<number, TypeDef>()
for (const { type, array } of TYPES.values()) {
  BY_OID.set(type.oid, type)
  BY_OID.set(array, arrayType(type, array))
}

/** A base, range or multirange type by its pg_type.typname. */
export function builtInType(name: string): BuiltInType | undefined {
  return TYPES.get(name)
}

/** The types of `oids` and those they are made of. */
export function builtInClosure(oids: Iterable<number>): TypeDef[] {
  const found = new Set<TypeDef>()
  const pending = [...oids]
  for (let oid = pending.pop(); oid !== undefined; oid = pending.pop()) {
    const type = BY_OID.get(oid)
    if (type === undefined || found.has(type)) continue
    found.add(type)
    pending.push(...[type.element, type.subtype].filter((part) => part !== undefined))
  }
  return [...found]
}

function* baseTypes(): Iterable<BuiltInType> {
  for (const entry of BASE_TYPES.split(/,(?= |\n)/)) {
    const [name, oid, array, len, align, storage, delimiter = ','] = entry.trim().split(' ') as [string, string, string, string, string, string, string?]
    const type: TypeDef = {
      oid: Number(oid), name, schema: 'pg_catalog', kind: 'base', len: Number(len), align: alignmentOf(align), storage, delimiter,
    }
    yield { type, array: Number(array) }
  }
}

function* rangeTypes(): Iterable<BuiltInType> {
  for (const entry of RANGE_TYPES.split(/,(?= |\n)/)) {
    const [name, oid, array, subtype, align, multirange, multirangeOid, multirangeArray] = entry.trim().split(' ') as string[]
    const varlena = { schema: 'pg_catalog', len: -1, align: alignmentOf(align!), storage: 'x', delimiter: ',' }
    yield { type: { ...varlena, oid: Number(oid), name: name!, kind: 'range', subtype: Number(subtype) }, array: Number(array) }
    const type: TypeDef = { ...varlena, oid: Number(multirangeOid), name: multirange!, kind: 'multirange', subtype: Number(oid) }
    yield { type, array: Number(multirangeArray) }
  }
}

function* extensionTypes(): Iterable<BuiltInType> {
  for (const [i, name] of EXTENSION_TYPES.entries()) {
    const oid = MADE_UP_OIDS + 2 * i
    const isPostgis = name.startsWith('geo')
    const [align, delimiter] = isPostgis ? [8, ':'] : [4, ',']
    yield { type: { oid, name, schema: 'public', kind: 'base', len: -1, align, storage: 'x', delimiter }, array: oid + 1 }
  }
}

/** Arrays are aligned as their elements, but at least to 4 bytes. */
function arrayType({ oid, name, schema, align, delimiter }: TypeDef, array: number): TypeDef {
  return { oid: array, name: `_${name}`, schema, kind: 'array', len: -1, align: Math.max(align, 4), storage: 'x', delimiter, element: oid }
}
