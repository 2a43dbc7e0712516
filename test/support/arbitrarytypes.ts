/** Types with the payloads that a server may have stored in them, canonical and odd: what the arbitrary tables are made of. */
import fc from 'fast-check'
import type { TypeDef, TypeRef } from '../../src/datum/typedef.ts'

export interface StoredType {
  ref: TypeRef
  /** The type itself first, then those it needs. */
  defs: readonly [TypeDef, ...TypeDef[]]
  /** Values without header: what a varlena holds behind its length, a cstring before its NUL. */
  payload: fc.Arbitrary<Uint8Array>
}

const utf8 = new TextEncoder()

/** Little-endian two's complement of `size` bytes. */
export function le(value: number | bigint, size: number): number[] {
  let rest = BigInt.asUintN(size * 8, BigInt(value))
  return Array.from({ length: size }, () => {
    const byte = Number(rest & 0xffn)
    rest >>= 8n
    return byte
  })
}

function padded(bytes: number[], alignment: number, from = 0): number[] {
  while ((bytes.length + from) % alignment) bytes.push(0)
  return bytes
}

const exactly = (size: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: size, maxLength: size })
const packed = (arbitrary: fc.Arbitrary<number[]>): fc.Arbitrary<Uint8Array> => arbitrary.map((bytes) => Uint8Array.from(bytes))
const int = (size: number, ...edges: bigint[]): fc.Arbitrary<Uint8Array> =>
  packed(fc.oneof(
    fc.integer({ min: -1000, max: 1000 }).map(BigInt), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, -1n, ...edges),
  ).map((value) => le(value, size)))

/** Any bits, NaNs with payloads and infinities among them. */
const float = (size: number, ...bits: bigint[]): fc.Arbitrary<Uint8Array> =>
  packed(fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, ...bits)).map((value) => le(value, size)))

const NAN4 = [0x7f800001n, 0xffc00000n, 0x7fc00000n, 0x80000000n, 0x7f800000n, 0xff800000n]
const NAN8 = [
  ...NAN4.flatMap((bits) => [bits << 32n, (bits << 32n) | 1n]), 0x7ff0000000000001n, 0x7ff8000000000000n, 0x7ff0000000000000n, 0xfff0000000000000n,
]

/** Plain words, ASCII mostly; sometimes any Unicode, a run long enough for a 4-byte header, or bytes that are no text. */
const text: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 20 }).map((value) => utf8.encode(value)) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }).map((value) => utf8.encode(value.replaceAll('\0', ''))) },
  { weight: 2, arbitrary: fc.tuple(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 100, max: 400 }))
    .map(([byte, size]) => new Uint8Array(size).fill(byte)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom('\\x', '\\xff', '\\x6162', 'NULL', '').map((value) => utf8.encode(value)) },
)
const anyBytes = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 24 }) }, { weight: 1, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 140 }) },
)

const nameText = packed(fc.tuple(fc.string({ maxLength: 20 }), fc.boolean()).map(([value, stale]) => {
  const bytes = [...utf8.encode(value.replaceAll('\0', 'x'))].slice(0, 63)
  while (bytes.length < 64) bytes.push(stale && bytes.length === 63 ? 7 : 0)
  return bytes
}))

/** numeric: digits as they come (leading and trailing zero digits are not canonical), short and long headers, NaN and ±Infinity. */
const numeric: fc.Arbitrary<Uint8Array> = packed(fc.oneof(
  { weight: 12, arbitrary: fc.record({
    negative: fc.boolean(), long: fc.nat(20), scale: fc.oneof({ weight: 5, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: fc.nat(30) }),
    digits: fc.array(fc.oneof(fc.constantFrom(0, 1, 5000, 9999), fc.nat(9999)), { maxLength: 7 }),
    weight: fc.integer({ min: -3, max: 4 }), strip: fc.nat(9),
  }).map(numericBytes) },
  { weight: 4, arbitrary: fc.integer({ min: -99_999_999, max: 99_999_999 }).map((cents) => centsBytes(cents)) },
  { weight: 1, arbitrary: fc.constantFrom(0xc000, 0xd000, 0xf000).map((header) => le(header, 2)) },
))

function numericBytes(value: { negative: boolean; long: number; scale: number; weight: number; digits: number[]; strip: number }): number[] {
  let { digits, weight } = value
  if (value.strip > 0) {
    while (digits.length > 0 && digits[0] === 0) {
      digits = digits.slice(1)
      weight--
    }
    while (digits.length > 0 && digits.at(-1) === 0) digits = digits.slice(0, -1)
    if (digits.length === 0) weight = 0
  }
  const sign = value.negative && (digits.length > 0 || value.strip === 0)
  const body = digits.flatMap((digit) => le(digit, 2))
  if (value.long === 0) return [...le((sign ? 0x4000 : 0) | value.scale, 2), ...le(weight, 2), ...body]
  return [...le(0x8000 | (sign ? 0x2000 : 0) | (value.scale << 7) | (weight & 0x7f), 2), ...body]
}

/** A price as a server stores it. */
function centsBytes(cents: number): number[] {
  const magnitude = Math.abs(cents)
  const digits = [Math.floor(magnitude / 1_000_000), Math.floor(magnitude / 100) % 10000, (magnitude % 100) * 100]
  return numericBytes({ negative: cents < 0, long: 1, scale: 2, weight: 1, digits, strip: 1 })
}

type Json = null | boolean | string | Uint8Array | Json[] | Map<string, Json>

const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constantFrom<Json>(null, true, false), fc.string({ maxLength: 6 }).map((value) => value.replaceAll('\0', '')),
    fc.integer({ min: -99999, max: 99999 }).map((value) => Uint8Array.from(centsBytes(value))),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 3 }).map((key) => key.replaceAll('\0', '')), tie('value'), { maxKeys: 4, noNullPrototype: true })
      .map((object) => new Map(Object.entries(object))),
  ),
})).value

/** jsonb_util.c, convertToJsonb. */
function jsonbBytes(value: Json): number[] {
  if (value instanceof Map || Array.isArray(value)) return jsonbContainer(value)
  return jsonbContainer([value], true)
}

function jsonbContainer(value: Json[] | Map<string, Json>, scalar = false): number[] {
  const items: Json[] = value instanceof Map ? [...sortedKeys(value), ...sortedKeys(value).map((key) => value.get(key)!)] : value
  const header = value instanceof Map ? 0x20000000 + value.size : 0x40000000 + (scalar ? 0x10000000 : 0) + value.length
  const entries: number[] = []
  const data: number[] = []
  const base = 4 + items.length * 4
  items.forEach((item, i) => {
    const from = data.length
    const type = jsonbItem(item ?? null, data, base)
    entries.push(...le(i % 32 === 0 ? (type | 0x80000000 | data.length) >>> 0 : type | (data.length - from), 4))
  })
  return [...le(header, 4), ...entries, ...data]
}

function sortedKeys(object: Map<string, Json>): string[] {
  const bytes = (key: string): Buffer => Buffer.from(key)
  return [...object.keys()].sort((a, b) => bytes(a).length - bytes(b).length || Buffer.compare(bytes(a), bytes(b)))
}

function jsonbItem(item: Json, data: number[], base: number): number {
  if (item === null) return 0x40000000
  if (typeof item === 'boolean') return item ? 0x30000000 : 0x20000000
  if (typeof item === 'string') {
    data.push(...utf8.encode(item))
    return 0
  }
  padded(data, 4, base)
  if (item instanceof Uint8Array) {
    data.push(...le((item.length + 4) << 2, 4), ...item)
    return 0x10000000
  }
  data.push(...jsonbContainer(item))
  return 0x50000000
}

const jsonb = packed(json.map(jsonbBytes))

interface Layout { len: number; align: number }

/** One value behind another, positions counted from `origin` bytes before `out`; `pack`: with the 1-byte header where it may. */
function append(out: number[], origin: number, value: Uint8Array, { len, align }: Layout, pack: boolean): void {
  if (len === -1 && pack && value.length <= 126) {
    out.push(((value.length + 1) << 1) | 1, ...value)
    return
  }
  padded(out, align, origin)
  if (len === -1) out.push(...le((value.length + 4) << 2, 4))
  out.push(...value)
}

/** array.h. Mostly one dimension from 1, else anything up to three. */
function arrayOf(element: StoredType): fc.Arbitrary<Uint8Array> {
  const { oid, len, align } = element.defs[0]
  const lists = fc.array(fc.option(element.payload, { freq: 6 }), { maxLength: 5 })
  return fc.tuple(lists, fc.nat(9)).map(([items, odd]) => {
    const count = items.length
    const dims = count === 0 ? [] : odd === 0 ? [1, count, 1] : [count]
    const hasNulls = items.some((item) => item === null) || (odd === 1 && count > 0)
    const head = [...le(dims.length, 4), ...le(0, 4), ...le(oid, 4)]
    head.push(...dims.flatMap((dim) => le(dim, 4)), ...dims.flatMap(() => le(odd === 2 ? 5 : 1, 4)))
    if (hasNulls) {
      const bitmap = new Array<number>((count + 7) >> 3).fill(0)
      items.forEach((item, i) => { if (item) bitmap[i >> 3]! |= 1 << (i & 7) })
      head.push(...bitmap)
    }
    padded(head, 8, 4)
    if (dims.length === 0) head.length = 12
    if (hasNulls) head.splice(4, 4, ...le(head.length + 4, 4))
    for (const item of items) {
      if (!item) continue
      append(head, 4, item, { len, align }, false)
      padded(head, align, 4)
    }
    return Uint8Array.from(head)
  })
}

function compositeOf(oid: number, fields: readonly StoredType[]): fc.Arbitrary<Uint8Array> {
  return fc.tuple(...fields.map((field) => fc.option(field.payload, { freq: 5 }))).map((values) => {
    const hasNull = values.some((value) => value === null)
    const hoff = hasNull ? 32 : 24
    const varwidth = values.some((value, i) => value && fields[i]!.defs[0].len === -1)
    const out = [...le(-1, 4), ...le(oid, 4), ...le(-1, 4), 0, 0, ...le(fields.length, 2), ...le((hasNull ? 1 : 0) | (varwidth ? 2 : 0), 2), hoff]
    if (hasNull) out.push(values.reduce((bits, value, i) => (value ? bits | (1 << i) : bits), 0))
    while (out.length + 4 < hoff) out.push(0)
    values.forEach((value, i) => { if (value) append(out, 4, value, fields[i]!.defs[0], true) })
    return Uint8Array.from(out)
  })
}

const range = fc.record({ low: fc.integer(), high: fc.integer(), flags: fc.constantFrom(0x02, 0x08, 0x12, 0x18, 0x01, 0x04, 0x06) })
  .map(({ low, high, flags }) => Uint8Array.from([
    ...le(3904, 4), ...(flags & 0x09 ? [] : le(low, 4)), ...(flags & 0x11 ? [] : le(high, 4)), flags,
  ]))

function base(oid: number, name: string, len: number, align: number, storage: string, payload: fc.Arbitrary<Uint8Array>, typmod = -1): StoredType {
  return { ref: { oid, typmod }, defs: [{ oid, name, schema: 'pg_catalog', kind: 'base', len, align, storage, delimiter: ',' }], payload }
}

function other(
  def: Partial<TypeDef> & Pick<TypeDef, 'oid' | 'name' | 'kind'>, needs: readonly StoredType[], payload: fc.Arbitrary<Uint8Array>,
): StoredType {
  const whole: TypeDef = { schema: 'public', len: -1, align: 4, storage: 'x', delimiter: ',', ...def }
  return { ref: { oid: def.oid, typmod: -1 }, defs: [whole, ...needs.flatMap(({ defs }) => defs)], payload }
}

const numericTypmod = (precision: number, scale: number): number => ((precision << 16) | (scale & 0x7ff)) + 4

const bool = base(16, 'bool', 1, 1, 'p', packed(fc.constantFrom([0], [1])))
const int2 = base(21, 'int2', 2, 2, 'p', int(2, 32767n, -32768n))
const int4 = base(23, 'int4', 4, 4, 'p', int(4, 2n ** 31n - 1n, -(2n ** 31n)))
const int8 = base(20, 'int8', 8, 8, 'p', int(8, 2n ** 63n - 1n, -(2n ** 63n)))
const float8 = base(701, 'float8', 8, 8, 'p', float(8, ...NAN8))
const textType = base(25, 'text', -1, 4, 'x', text)
const numericType = base(1700, 'numeric', -1, 4, 'm', numeric)
const date = base(1082, 'date', 4, 4, 'p', int(4, -730119n, -730120n, 2921939n, 2921940n, 2n ** 31n - 1n, -(2n ** 31n)))
/** The whole range, its ends, ±infinity, and both sides of the borders of what is native. */
const stamp = packed(fc.oneof(
  fc.bigInt({ min: -211813488000000000n, max: 9223371331199999999n }), fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
  fc.constantFrom(-63082281600000000n, -63082281600000001n, 252455615999999999n, 252455616000000000n, 2n ** 63n - 1n, -(2n ** 63n)),
).map((value) => le(value, 8)))
const uuid = base(2950, 'uuid', 16, 1, 'p', exactly(16))
const mood = other({
  oid: 16400, name: 'mood', kind: 'enum', len: 4, storage: 'p', labels: [[16401, 'sad'], [16402, 'ok'], [16404, 'happy, \\x']],
}, [], packed(fc.constantFrom(16401, 16402, 16404, 99999).map((oid) => le(oid, 4))))
const PAIR_FIELDS = [int4, textType, float8, numericType]
const pair = other({
  oid: 16410, name: 'pair', kind: 'composite', align: 8,
  fields: PAIR_FIELDS.map(({ ref, defs: [{ len, align, storage }] }, i) => ({ name: `f${i}`, type: ref, len, align, plain: storage === 'p', dropped: false })),
}, PAIR_FIELDS, compositeOf(16410, PAIR_FIELDS))

const array = (oid: number, name: string, element: StoredType): StoredType =>
  other({ oid, name, kind: 'array', element: element.ref.oid, align: element.defs[0].align === 8 ? 8 : 4 }, [element], arrayOf(element))

/** Fast paths of the generated code: often in a table. */
export const COMMON_TYPES: readonly StoredType[] = [
  bool, int2, int4, int8, float8, textType, numericType, date,
  base(700, 'float4', 4, 4, 'p', float(4, ...NAN4)),
  base(26, 'oid', 4, 4, 'p', exactly(4)),
  base(1700, 'numeric', -1, 4, 'm', numeric, numericTypmod(15, 2)),
  base(1700, 'numeric', -1, 4, 'm', numeric, numericTypmod(38, 30)),
  base(1700, 'numeric', -1, 4, 'm', numeric, numericTypmod(3, -2)),
  base(1043, 'varchar', -1, 4, 'x', text, 24),
  base(1042, 'bpchar', -1, 4, 'x', text, 24),
  base(17, 'bytea', -1, 4, 'x', anyBytes),
  base(1114, 'timestamp', 8, 8, 'p', stamp),
  base(1184, 'timestamptz', 8, 8, 'p', stamp),
]

export const RARE_TYPES: readonly StoredType[] = [
  uuid, mood, pair,
  base(18, 'char', 1, 1, 'p', exactly(1)),
  base(19, 'name', 64, 1, 'p', nameText),
  base(27, 'tid', 6, 2, 'p', exactly(6)),
  base(28, 'xid', 4, 4, 'p', exactly(4)),
  base(5069, 'xid8', 8, 8, 'p', exactly(8)),
  base(3220, 'pg_lsn', 8, 8, 'p', exactly(8)),
  base(790, 'money', 8, 8, 'p', exactly(8)),
  base(829, 'macaddr', 6, 4, 'p', exactly(6)),
  base(114, 'json', -1, 4, 'x', text),
  base(3802, 'jsonb', -1, 4, 'x', jsonb),
  base(1083, 'time', 8, 8, 'p', packed(fc.bigInt({ min: 0n, max: 86_400_000_000n }).map((value) => le(value, 8)))),
  base(1186, 'interval', 16, 8, 'p', exactly(16)),
  base(600, 'point', 16, 8, 'p', exactly(16)),
  base(869, 'inet', -1, 4, 'm', packed(fc.tuple(fc.nat(32), exactly(4)).map(([bits, address]) => [2, bits, ...address]))),
  base(1562, 'varbit', -1, 4, 'x', packed(exactly(2).map((bits) => [...le(13, 4), bits[0]!, bits[1]! & 0xf8]))),
  base(30, 'oidvector', -1, 4, 'p', packed(fc.array(fc.nat(), { maxLength: 4 }).map((oids) => [
    ...le(1, 4), ...le(0, 4), ...le(26, 4), ...le(oids.length, 4), ...le(0, 4), ...oids.flatMap((oid) => le(oid, 4)),
  ]))),
  other({ oid: 3904, name: 'int4range', kind: 'range', schema: 'pg_catalog', subtype: 23 }, [int4], range),
  other({ oid: 16420, name: 'positive', kind: 'domain', len: 4, storage: 'p', base: { oid: 23, typmod: -1 } }, [int4], int4.payload),
  other({ oid: 16421, name: 'price', kind: 'domain', storage: 'm', base: { oid: 1700, typmod: numericTypmod(12, 2) } }, [numericType], numeric),
  other({ oid: 16422, name: 'label', kind: 'domain', base: { oid: 16421, typmod: -1 }, storage: 'm' }, [other({
    oid: 16421, name: 'price', kind: 'domain', storage: 'm', base: { oid: 1700, typmod: numericTypmod(12, 2) },
  }, [numericType], numeric)], numeric),
  other({ oid: 16430, name: 'mystery', kind: 'base' }, [], anyBytes),
  other({ oid: 16431, name: 'triple', kind: 'base', len: 12, storage: 'p' }, [], exactly(12)),
  other({ oid: 16432, name: 'ctext', kind: 'base', len: -2, align: 1, storage: 'p' }, [], packed(fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 9 }))),
  array(1007, '_int4', int4), array(1016, '_int8', int8), array(1009, '_text', textType), array(1231, '_numeric', numericType),
  array(1182, '_date', date), array(2951, '_uuid', uuid), array(16403, '_mood', mood), array(16411, '_pair', pair), array(1000, '_bool', bool),
]
