/** fast-check arbitraries for tables and their heap pages, with a second, slow and simple implementation of heap_form_tuple. */
import fc from 'fast-check'
import type { Attribute, TupleDesc } from '../../src/catalog/tupledesc.ts'
import type { ToastSource } from '../../src/tuple/toastsource.ts'
import { hexEncode } from '../../src/common/bytes.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import type { AttributeLayout } from '../../src/tuple/attribute.ts'
import { COMMON_TYPES, le, RARE_TYPES, type StoredType } from './arbitrarytypes.ts'

export interface ArbitraryColumn {
  type: StoredType
  attribute: Attribute
  /** Payload of attmissingval. */
  missing: Uint8Array | undefined
}

/** How a varlena lies in its tuple. `usual`: as heap_form_tuple writes it; `dangling`: out of line, its chunks gone. */
type Form = 'usual' | 'long' | 'short' | 'pglz' | 'lz4' | 'external' | 'externalPglz' | 'externalLz4' | 'dangling'

export interface ArbitraryDatum {
  payload: Uint8Array
  form: Form
}

export interface ArbitraryTuple {
  /** One per attribute; undefined: the tuple is older than the attribute. */
  values: (ArbitraryDatum | null | undefined)[]
  xmin: number
  xmax: number
  infomask: number
  infomask2: number
  bytes: Uint8Array
  /** Attributes above the descriptor's. */
  extra: number
}

export interface ArbitraryPage {
  bytes: Uint8Array
  /** By offset number - 1: what a NORMAL line pointer leads to. */
  tuples: (ArbitraryTuple | undefined)[]
}

export interface ArbitraryTable {
  columns: ArbitraryColumn[]
  desc: TupleDesc
  pages: ArbitraryPage[]
  toast: ToastSource
}

/** Which of the rows anyone sees: a rule as good as any, by xmin and xmax alone. */
export const VISIBILITY = {
  isVisible: (xmin: number, xmax: number, infomask: number): boolean => xmin % 4 < 2 && !deleted(xmax, infomask),
  isDead: (xmin: number, xmax: number, infomask: number): boolean => xmin % 4 === 3 || deleted(xmax, infomask),
  nextXid: { low: 5000, epoch: 3 },
}

function deleted(xmax: number, infomask: number): boolean {
  return xmax % 3 === 1 && (infomask & 0x0800) === 0
}

function columnOf(type: StoredType, attnum: number, fate: number, plain: boolean, missing: Uint8Array | undefined): ArbitraryColumn {
  const def = type.defs[0]
  const dropped = fate === 0
  const virtual = fate === 1
  const name = dropped ? `........pg.dropped.${attnum}........` : `c${attnum}`
  const attribute: Attribute = {
    attnum, name, type: dropped ? { oid: 0, typmod: -1 } : type.ref,
    len: def.len, align: def.align, plain: def.storage === 'p' || plain, dropped, virtual,
  }
  const hasMissing = missing !== undefined && !dropped && !virtual
  if (hasMissing) attribute.missing = hexEncode(missing)
  return { type, attribute, missing: hasMissing ? missing : undefined }
}

const anyType = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...COMMON_TYPES) }, { weight: 2, arbitrary: fc.constantFrom(...RARE_TYPES) })

/** fate 0: dropped, 1: virtual, 2 and 3: added with a default. */
const column = anyType.chain((type) => fc.record({
  type: fc.constant(type), fate: fc.oneof({ weight: 5, arbitrary: fc.constant(9) }, { weight: 2, arbitrary: fc.nat(3) }),
  plain: fc.nat(9).map((die) => die === 0), missing: type.payload,
}))

const narrowType = fc.constantFrom(COMMON_TYPES[0]!, COMMON_TYPES[2]!, COMMON_TYPES[5]!, COMMON_TYPES[6]!)
const manyColumns = fc.array(narrowType, { minLength: 118, maxLength: 200 })
  .map((types) => types.map((type) => ({ type, fate: 9, plain: false, missing: new Uint8Array(0) })))

/** Up to `most` columns of any types; seldom more than the generated code takes. */
function columns(most: number): fc.Arbitrary<ArbitraryColumn[]> {
  const few = fc.array(column, { maxLength: most, size: 'max' })
  return fc.oneof({ weight: 30, arbitrary: few }, { weight: 1, arbitrary: manyColumns })
    .map((list) => list.map(({ type, fate, plain, missing }, i) =>
      columnOf(type, i + 1, fate, plain, fate === 2 || fate === 3 ? missing : undefined)))
}

function descOf(list: readonly ArbitraryColumn[]): TupleDesc {
  const types = new Map<number, TypeDef>()
  for (const { type, attribute } of list) if (!attribute.dropped) for (const def of type.defs) types.set(def.oid, def)
  return { attributes: list.map(({ attribute }) => attribute), types: [...types.values()] }
}

const oddForm = fc.constantFrom<Form>('long', 'short', 'pglz', 'lz4', 'external', 'externalPglz', 'externalLz4', 'dangling')
const form = fc.oneof({ weight: 12, arbitrary: fc.constant<Form>('usual') }, { weight: 1, arbitrary: oddForm })

function datum({ type, attribute }: ArbitraryColumn): fc.Arbitrary<ArbitraryDatum | null> {
  const value = fc.record({ payload: type.payload, form: attribute.len === -1 ? form : fc.constant<Form>('usual') })
  return fc.option(value, { freq: attribute.dropped || attribute.virtual ? 2 : 7 })
}

interface Odds {
  xmin: number
  xmax: number
  cid: number
  hints: number
  bits2: number
  ctid: [number, number] | null
  /** Wrong HASNULL, HASVARWIDTH, HASEXTERNAL bits. */
  lie: number
  tail: Uint8Array
  extra: number
  gap: number
}

const NO_TAIL = new Uint8Array(0)
const PLAIN_ODDS: Odds = { xmin: 701, xmax: 0, cid: 0, hints: 0x0900, bits2: 0, ctid: null, lie: 0, tail: NO_TAIL, extra: 0, gap: 0 }
const xid = fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.nat(0xffffffff))
const u16 = fc.nat(0xffff)

/** Headers as updates, locks, HOT, multixacts and VACUUM leave them, and worse. */
const odds: fc.Arbitrary<Odds> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 3, max: 900 }).map((xmin) => ({ ...PLAIN_ODDS, xmin })) },
  { weight: 2, arbitrary: fc.record({
    xmin: xid, xmax: fc.oneof(fc.constant(0), xid), cid: fc.oneof(fc.constant(0), xid), hints: u16, bits2: u16,
    gap: fc.constantFrom(0, 0, 0, 8, 40),
    ctid: fc.option(fc.tuple(fc.oneof(fc.nat(9), fc.constantFrom(0xffffffff, 0x12345678)), fc.oneof(u16, fc.constantFrom(0xfffd, 0xfffe)))),
    lie: fc.constantFrom(0, 0, 0, 0, 2, 4, 6),
    tail: fc.oneof({ weight: 5, arbitrary: fc.constant(NO_TAIL) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 9 }) }),
    extra: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 1, 9),
  }) },
)

interface Item {
  kind: 'tuple' | 'same' | 'redirect' | 'dead' | 'unused' | 'odd'
  values: (ArbitraryDatum | null)[]
  natts: number
  odds: Odds
  place: number
}

function item(list: readonly ArbitraryColumn[]): fc.Arbitrary<Item> {
  return fc.record({
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant<Item['kind']>('tuple') },
      { weight: 2, arbitrary: fc.constantFrom<Item['kind']>('redirect', 'dead', 'unused', 'odd', 'same') },
    ),
    values: fc.tuple(...list.map(datum)), place: fc.nat(1000), odds,
    natts: fc.oneof({ weight: 6, arbitrary: fc.constant(list.length) }, { weight: 1, arbitrary: fc.nat(list.length) }),
  })
}

interface PageShape {
  items: Item[]
  kind: 'page' | 'zero'
  ordered: boolean
  trailingUnused: number
  lsn: number[]
  oddHeader: { flags: number; prune: number; special: Uint8Array; hole: number; oddLower: number } | null
  garbage: number
}

function pageShape(list: readonly ArbitraryColumn[], rows: number): fc.Arbitrary<PageShape> {
  return fc.record({
    items: fc.array(item(list), { maxLength: rows, size: 'max' }),
    kind: fc.nat(15).map((die) => (die === 0 ? 'zero' : 'page')), ordered: fc.nat(2).map((die) => die > 0),
    trailingUnused: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
    lsn: fc.array(fc.nat(255), { minLength: 8, maxLength: 8 }), garbage: fc.integer({ min: 0, max: 0xffffff }),
    oddHeader: fc.option(fc.record({
      flags: fc.nat(7), prune: xid,
      special: fc.constantFrom(0, 0, 0, 8, 64, 256).chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
      hole: fc.constantFrom(0, 0, 8, 3, 1000), oddLower: fc.constantFrom(0, 0, 0, 0, 0, 2),
    }), { freq: 2 }),
  }) as fc.Arbitrary<PageShape>
}

export interface TableSize {
  columns: number
  rows: number
  pages: number
}

export function table(size: TableSize): fc.Arbitrary<ArbitraryTable> {
  return columns(size.columns).chain((list) =>
    fc.array(pageShape(list, size.rows), { minLength: 1, maxLength: size.pages, size: 'max' }).map((shapes) => {
      const chunks = new Chunks()
      const pages = shapes.map((shape, block) => formPage(list, shape, block, chunks))
      return { columns: list, desc: descOf(list), pages, toast: chunks, [fc.toStringMethod]: () => describe(list, shapes) }
    }))
}

/** What fast-check prints: 8 KiB of numbers would not help anyone. */
function describe(list: readonly ArbitraryColumn[], shapes: readonly PageShape[]): string {
  const types = list.map(({ type, attribute: { dropped, virtual, plain }, missing }) => {
    const fate = [dropped && 'dropped', virtual && 'virtual', plain && 'plain', missing && hexEncode(missing)]
    return [type.defs[0].name, type.ref.typmod, ...fate.filter((word) => word)].join(' ')
  })
  const plain = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? hexEncode(value) : value)
  return `columns ${JSON.stringify(types)}, pages ${JSON.stringify(shapes, plain)}`
}

export function joined(pages: readonly ArbitraryPage[]): Uint8Array {
  const all = new Uint8Array(pages.length * 8192)
  pages.forEach(({ bytes }, i) => all.set(bytes, i * 8192))
  return all
}

/** What a TOAST relation holds. */
class Chunks implements ToastSource {
  private readonly values: Uint8Array[] = []

  add(stored: Uint8Array): number {
    return this.values.push(stored)
  }

  fetch(pointer: { valueId: number }): Uint8Array | undefined {
    return this.values[pointer.valueId - 1]
  }
}

function formPage(list: readonly ArbitraryColumn[], shape: PageShape, block: number, chunks: Chunks): ArbitraryPage {
  const bytes = new Uint8Array(8192)
  if (shape.kind === 'zero') return { bytes, tuples: [] }
  let state = shape.garbage
  for (let at = 0; at < 8192 && shape.garbage & 3; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[at] = state >>> 16
  }
  const header = shape.oddHeader
  const special = 8192 - (header?.special.length ?? 0)
  bytes.set(header?.special ?? [], special)
  const lower = 24 + 4 * (shape.items.length + shape.trailingUnused)
  const tuples: ArbitraryPage['tuples'] = shape.items.map(() => undefined)
  const pointers = shape.items.map(({ kind, odds: { xmax, xmin } }, i) => pointerWord(kind, i, xmin ^ xmax))
  let upper = special
  const order = shape.items.map((_, i) => i)
  if (!shape.ordered) order.sort((a, b) => shape.items[a]!.place - shape.items[b]!.place)
  for (const i of order) {
    if (shape.items[i]!.kind !== 'tuple') continue
    const tuple = formTuple(list, shape.items[i]!, block, i + 1, chunks)
    const off = upper - ((tuple.bytes.length + 7) & ~7) - shape.items[i]!.odds.gap
    if (off < lower + 8) continue
    bytes.set(tuple.bytes, off)
    tuples[i] = tuple
    pointers[i] = [off, 1, tuple.bytes.length]
    upper = off
  }
  shape.items.forEach(({ kind }, i) => {
    const target = kind === 'same' ? pointers.findIndex(([, state]) => state === 1) : -1
    // Two pointers to one tuple pass as long as all items would fit.
    const total = pointers.reduce((sum, [, state, len]) => sum + (state === 1 ? (len + 7) & ~7 : 0), 0)
    if (target < 0 || total + pointers[target]![2] + 7 > special - lower - 2) return
    pointers[i] = pointers[target]!
    tuples[i] = tuples[target]
  })
  pointers.forEach(([off, state, len], i) => bytes.set(le((off | (state << 15) | (len << 17)) >>> 0, 4), 24 + i * 4))
  bytes.fill(0, 24 + 4 * pointers.length, lower)
  upper = Math.max(lower + 3, upper - (header?.hole ?? 0))
  bytes.set(shape.lsn)
  const bounds = [lower + (header?.oddLower ?? 0), upper, special, 0x2004]
  bytes.set([...le(header?.flags ?? 0, 2), ...bounds.flatMap((bound) => le(bound, 2)), ...le(header?.prune ?? 0, 4)], 10)
  return { bytes, tuples }
}

function pointerWord(kind: Item['kind'], i: number, odd: number): [off: number, state: number, len: number] {
  if (kind === 'redirect') return [i + 2, 2, 0]
  if (kind === 'dead') return [0, 3, 0]
  if (kind === 'odd') return [odd & 0x7fff, [0, 2, 3][odd % 3]!, (odd >>> 15) & 0x7fff]
  return [0, 0, 0]
}

function align(out: number[], alignment: number): void {
  while (out.length % alignment) out.push(0)
}

/** heap_form_tuple with a choice of forms for each value. */
function formTuple(
  list: readonly ArbitraryColumn[], { values, natts: wanted, odds: { ...odd } }: Item, block: number, offset: number, chunks: Chunks,
): ArbitraryTuple {
  const natts = odd.extra > 0 ? list.length : wanted
  const stored = values.slice(0, natts)
  const hidden = odd.extra > 0 || stored.some((value, i) => value?.form === 'dangling' && !list[i]!.attribute.plain)
  if (hidden) odd.xmin = (odd.xmin | 3) >>> 0
  const count = natts + odd.extra
  const hasNull = stored.some((value) => value === null)
  const bitmap = hasNull ? (count + 7) >> 3 : 0
  const hoff = (23 + bitmap + 7) & ~7
  let implied = hasNull ? 1 : 0
  const out: number[] = new Array<number>(hoff).fill(0)
  for (let i = 0; i < count; i++) {
    const value = i < natts ? stored[i]! : { payload: Uint8Array.of(i), form: 'usual' as const }
    if (value === null) continue
    if (hasNull) out[23 + (i >> 3)]! |= 1 << (i & 7)
    const layout = list[i]?.attribute ?? { len: 1, align: 1, plain: true }
    if (layout.len < 0) implied |= 2
    if (appendDatum(out, value, layout, chunks)) implied |= 4
  }
  const infomask = (implied ^ (odd.lie & 6)) | (odd.hints & 0xfff8)
  const infomask2 = count | (odd.bits2 & 0xf800)
  const [toBlock, toOffset] = odd.ctid ?? [block, offset]
  const header = [
    ...le(odd.xmin, 4), ...le(odd.xmax, 4), ...le(odd.cid, 4), ...le(toBlock >>> 16, 2), ...le(toBlock & 0xffff, 2), ...le(toOffset, 2),
    ...le(infomask2, 2), ...le(infomask, 2), hoff,
  ]
  out.splice(0, 23, ...header)
  out.push(...odd.tail)
  return {
    values: values.map((value, i) => (i < natts ? value : undefined)), bytes: Uint8Array.from(out),
    xmin: odd.xmin, xmax: odd.xmax, infomask, infomask2, extra: odd.extra,
  }
}

/** Returns whether it lies out of line. */
function appendDatum(out: number[], { payload, form: wanted }: ArbitraryDatum, attribute: AttributeLayout, chunks: Chunks): boolean {
  if (attribute.len !== -1) {
    if (attribute.len > 0) align(out, attribute.align)
    out.push(...payload, ...(attribute.len === -2 ? [0] : []))
    return false
  }
  const isShort = payload.length <= 126 && (wanted === 'short' || (wanted !== 'long' && !attribute.plain))
  if (wanted === 'pglz' || wanted === 'lz4') {
    const compressed = wanted === 'lz4' ? lz4(payload) : pglz(payload)
    align(out, attribute.align)
    out.push(...le(((compressed.length + 4) << 2) | 2, 4), ...compressed)
  } else if (wanted.startsWith('external') || wanted === 'dangling') {
    if (attribute.plain) return appendDatum(out, { payload, form: 'usual' }, attribute, chunks)
    out.push(...externalDatum(payload, wanted, chunks))
    return true
  } else if (isShort) {
    out.push(((payload.length + 1) << 1) | 1, ...payload)
  } else {
    align(out, attribute.align)
    out.push(...le((payload.length + 4) << 2, 4), ...payload)
  }
  return false
}

function externalDatum(payload: Uint8Array, wanted: Form, chunks: Chunks): number[] {
  const compressed = wanted === 'externalLz4' ? lz4(payload) : wanted === 'externalPglz' ? pglz(payload) : payload
  const stored = compressed.length < payload.length ? compressed : payload
  const method = stored === payload || wanted !== 'externalLz4' ? 0 : 1
  const id = wanted === 'dangling' ? 999999 : chunks.add(Uint8Array.from(stored))
  return [1, 18, ...le(payload.length + 4, 4), ...le((stored.length | (method << 30)) >>> 0, 4), ...le(id, 4), ...le(16999, 4)]
}

/** tcinfo and a valid stream that only knows runs of one byte. */
export function pglz(payload: Uint8Array): number[] {
  const out = le(payload.length, 4)
  let control = -1
  let items = 8
  for (let at = 0; at < payload.length; ) {
    if (items === 8) {
      control = out.push(0) - 1
      items = 0
    }
    const run = runAt(payload, at, 273)
    if (run >= 3) {
      out[control]! |= 1 << items
      out.push(Math.min(run - 3, 15), 1)
      if (run >= 18) out.push(run - 18)
    } else {
      out.push(payload[at]!)
    }
    at += run >= 3 ? run : 1
    items++
  }
  return out
}

export function lz4(payload: Uint8Array): number[] {
  const out = le((payload.length | (1 << 30)) >>> 0, 4)
  const length = (count: number): number[] =>
    count < 15 ? [] : [...new Array<number>(Math.floor((count - 15) / 255)).fill(255), (count - 15) % 255]
  let from = 0
  for (let at = 0; at < payload.length; ) {
    const run = Math.min(runAt(payload, at, 9999), payload.length - 5 - at)
    if (run < 4) {
      at++
      continue
    }
    out.push((Math.min(at - from, 15) << 4) | Math.min(run - 4, 15), ...length(at - from), ...payload.subarray(from, at))
    out.push(1, 0, ...length(run - 4))
    at += run
    from = at
  }
  out.push(Math.min(payload.length - from, 15) << 4, ...length(payload.length - from), ...payload.subarray(from))
  return out
}

/** How many bytes from `at` on equal the one before. */
function runAt(payload: Uint8Array, at: number, most: number): number {
  let run = 0
  while (at > 0 && run < most && at + run < payload.length && payload[at + run] === payload[at - 1]) run++
  return run
}

/** canonical(page) byte by byte: what lies in no kept range is zero. */
export function canonicalOf(page: Uint8Array): Uint8Array {
  const out = new Uint8Array(8192)
  const view = new DataView(page.buffer, page.byteOffset)
  const keep = (from: number, to: number): void => out.set(page.subarray(from, to), from)
  keep(0, 8)
  keep(10, 24)
  const lower = view.getUint16(12, true)
  if (lower === 0) return out
  keep(24, lower)
  for (let at = 24; at + 4 <= lower; at += 4) {
    const word = view.getUint32(at, true)
    if (((word >>> 15) & 3) === 1) keep(word & 0x7fff, (word & 0x7fff) + (word >>> 17))
  }
  keep(view.getUint16(16, true), 8192)
  return out
}
