import { isUtf8 } from '../common/utf8.ts'
import { BytesVector, setBits, type Vector } from '../vector/vector.ts'
import type { PageBuffer } from '../page/canonical.ts'
import { SIZE_OF_TUPLE_HEADER, T_HOFF, T_INFOMASK, T_INFOMASK2 } from '../tuple/header.ts'
import { HEAP_HASNULL, HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
import type { Batch } from './batch.ts'
import { compile } from './compile.ts'
import { numericUnscaled } from './decimal.ts'
import { smallDecimalSource } from './decimalsource.ts'
import type { TupleDecoder } from './decodetuple.ts'
import {
  DATE_EPOCH_DAYS, DATE_MAX, DATE_MIN, type InlineForm, inlineForm, TIMESTAMP_EPOCH_HIGH, TIMESTAMP_EPOCH_LOW, TIMESTAMP_HIGH_MAX,
  TIMESTAMP_HIGH_MIN,
} from './inline.ts'
import type { AttributePlan, ColumnPlan, RelationSchema } from './schema.ts'
import { code, codeLines, type SourceText } from './sourcetext.ts'

/**
 * Decodes the tuples of one page into the user columns of rows `first`.. : item i is the tuple at page byte `offs[i]`, or a row
 * without tuple where `offs[i]` is 0. Returns false if the page needs the interpreter; the batch must then be truncated.
 */
export type DecodeItems = (page: PageBuffer, first: number, count: number, offs: Int32Array, lens: Int32Array, live: Uint8Array) => boolean

/** More attributes than this make a function that V8 will not optimise. */
const ATTRIBUTES_MAX = 120
/** No column can take more payload bytes than a page has, unless they were compressed or out of line. */
const PAGE_PAYLOAD = 8192

/**
 * Source code specialised for one TupleDesc: measured 1.4 times the interpreter and more. It hands rare cases to `decoder`, whose result is the
 * reference. Undefined where code generation is not allowed or does not pay.
 */
export function generateDecoder(schema: RelationSchema, batch: Batch, decoder: TupleDecoder): DecodeItems | undefined {
  if (schema.attributes.length === 0 || schema.attributes.length > ATTRIBUTES_MAX) return undefined
  const inlined = schema.attributes.flatMap(({ attribute, column }) => {
    const form = column && inlineForm(attribute, column, schema.context)
    return column && form ? [batch.columns[column.index]!] : []
  })
  const factory = compile<Factory>(['V', 'T', 'isUtf8', 'unscaled'], source(schema))
  const run = factory(batch.columns, decoder, isUtf8, numericUnscaled)
  return (page, first, count, offs, lens, live) => {
    for (const vector of inlined) openRows(vector, first, count)
    let done = false
    try {
      done = run(page, first, count, offs, lens, live)
      return done
    } finally {
      if (!done) for (const vector of inlined) vector.length = first + count
    }
  }
}

/** Room for a page's rows, all of them not null until code says otherwise. */
function openRows(vector: Vector, first: number, count: number): void {
  vector.reserve(count)
  if (vector instanceof BytesVector) vector.data.reserve(PAGE_PAYLOAD)
  setBits(vector.validity, first, first + count)
}

type Factory = (columns: readonly Vector[], decoder: TupleDecoder, utf8: typeof isUtf8, unscaled: typeof numericUnscaled) => DecodeItems

interface Emitted {
  plan: AttributePlan
  column: ColumnPlan | undefined
  form: InlineForm | undefined
  /** Suffix of this attribute's variables. */
  k: number
}

function source(schema: RelationSchema): SourceText {
  const attributes = schema.attributes.map((plan, k): Emitted => {
    const form = plan.column && inlineForm(plan.attribute, plan.column, schema.context)
    return { plan, column: plan.column, form, k }
  })
  const each = (emit: (attribute: Emitted) => SourceText): SourceText => codeLines(attributes.map(emit))
  return code`'use strict'
return function decodeItems(page, first, count, offs, lens, live) {
  const bytes = page.bytes, words = page.words, view = page.view
  ${each(declare)}
  for (let i = 0, row = first; i < count; i++, row++) {
    const off = offs[i], bit = ~(1 << (row & 7))
    if (off === 0) {
      ${each(emitNull)}
      continue
    }
    const end = off + lens[i], natts = (words[(off >> 2) + ${T_INFOMASK2 >> 2}] >>> ${(T_INFOMASK2 & 3) * 8}) & ${HEAP_NATTS_MASK}
    const hasNull = bytes[off + ${T_INFOMASK}] & ${HEAP_HASNULL}, hoff = bytes[off + ${T_HOFF}]
    if (natts > ${attributes.length} || hoff & 7 || off + hoff > end || hoff < ${SIZE_OF_TUPLE_HEADER} + (hasNull ? (natts + 7) >> 3 : 0)) return false
    let at = off + hoff, s = 0, e = 0, b = 0, c = 0, f = 0, h = 0, m = 0, n = 0, v = 0
    if (!hasNull && natts === ${attributes.length}) {
      ${each(emitValue)}
    } else {
      const bits = off + ${SIZE_OF_TUPLE_HEADER}
      ${each(emitNullable)}
    }
    if (at > end) return false
    if (T.listsOpen) T.closeLists()
  }
  ${each(close)}
  return true
}`
}

function declare({ column, form, k }: Emitted): SourceText {
  if (!column) return code``
  const vector = code`const v${k} = V[${column.index}];`
  if (!form) return vector
  const validity = code`const a${k} = v${k}.validity;`
  if (form.kind === 'bytes') {
    return code`${vector} ${validity} let b${k} = v${k}.data.bytes, g${k} = v${k}.data.view, d${k} = v${k}.data.length; const o${k} = v${k}.offsets;`
  }
  if (form.kind === 'boolean') return code`${vector} ${validity} const t${k} = v${k}.bits;`
  return code`${vector} ${validity} const w${k} = v${k}.words;`
}

function close({ column, form, k }: Emitted): SourceText {
  if (!column || !form) return code``
  const data = form.kind === 'bytes' ? code`v${k}.data.length = d${k};` : code``
  return code`v${k}.length = first + count; ${data}`
}

/** The row's value is NULL: inlined columns had their bit set in advance. */
function emitNull({ column, form, k }: Emitted): SourceText {
  if (!column) return code``
  if (!form) return code`v${k}.pushNull()`
  const clear = code`a${k}[row >> 3] &= bit;`
  switch (form.kind) {
    case 'bytes':
      return code`${clear} o${k}[row + 1] = d${k}`
    case 'boolean':
      return code`${clear} t${k}[row >> 3] &= bit`
    case 'decimal':
      return code`${clear} w${k}[row * 4] = w${k}[row * 4 + 1] = w${k}[row * 4 + 2] = w${k}[row * 4 + 3] = 0`
    case 'doubleword':
    case 'timestamp':
    case 'uint32':
      return code`${clear} w${k}[row * 2] = w${k}[row * 2 + 1] = 0`
    default:
      return code`${clear} w${k}[row] = 0`
  }
}

function emitNullable(attribute: Emitted): SourceText {
  const { k, plan } = attribute
  const present = code`${k} < natts && (!hasNull || bytes[bits + ${k >> 3}] & ${1 << (k & 7)})`
  // A column added with a default reads as that default in older tuples: the interpreter knows how.
  const absent = plan.attribute.missing === undefined ? code`` : code`if (${k} >= natts) return false\n`
  return code`${absent}if (${present}) {\n${emitValue(attribute)}\n} else {\n${emitNull(attribute)}\n}`
}

function emitValue(attribute: Emitted): SourceText {
  const { plan, form, column, k } = attribute
  const { len, align } = plan.attribute
  if (len === -1) return emitVarlena(attribute)
  if (len === -2) return code`return false`
  const aligned = align === 1 ? code`` : code`at = (at + ${align - 1}) & ${-align};`
  const start = code`${aligned} s = at; at += ${len};`
  // A value that runs past its tuple must not be shown to a codec.
  if (!column) return code`${start} if (at > end) return false; T.slow(${k}, bytes, s, at, row, live[i])`
  if (!form) return code`${start} if (at > end) return false; T.payload(${k}, bytes, s, s, at, row)`
  return code`${start} ${emitFixed(form, attribute)}`
}

/** Hands the datum [s, e) to the interpreter and takes over its vector again. */
function slow({ form, k }: Emitted): SourceText {
  const call = code`v${k}.length = row; a${k}[row >> 3] &= bit; T.slow(${k}, bytes, s, e, row, live[i]);`
  if (form?.kind === 'date' || form?.kind === 'timestamp') return code`e = at; ${call}`
  if (form?.kind !== 'bytes') return call
  return code`v${k}.data.length = d${k}; ${call} v${k}.data.reserve(${PAGE_PAYLOAD})
    b${k} = v${k}.data.bytes; g${k} = v${k}.data.view; d${k} = v${k}.data.length;`
}

function emitFixed(form: InlineForm, attribute: Emitted): SourceText {
  const { k } = attribute
  switch (form.kind) {
    case 'word':
      return code`w${k}[row] = words[s >> 2]`
    case 'doubleword':
      return code`w${k}[row * 2] = words[s >> 2]; w${k}[row * 2 + 1] = words[(s >> 2) + 1]`
    case 'int16':
      return code`w${k}[row] = ((bytes[s] | (bytes[s + 1] << 8)) << 16) >> 16`
    case 'uint32':
      return code`w${k}[row * 2] = words[s >> 2]; w${k}[row * 2 + 1] = 0`
    case 'boolean':
      return code`b = bytes[s]; if (b === 1) t${k}[row >> 3] |= ~bit; else if (b === 0) t${k}[row >> 3] &= bit; else return false`
    case 'date':
      return code`v = words[s >> 2]
        if (v >= ${DATE_MIN} && v <= ${DATE_MAX}) w${k}[row] = v + ${DATE_EPOCH_DAYS}; else if (at > end) return false; else { ${slow(attribute)} }`
    case 'timestamp':
      return code`v = words[(s >> 2) + 1];
        if (v >= ${TIMESTAMP_HIGH_MIN} && v <= ${TIMESTAMP_HIGH_MAX}) {
          b = (words[s >> 2] >>> 0) + ${TIMESTAMP_EPOCH_LOW}
          w${k}[row * 2] = b | 0; w${k}[row * 2 + 1] = v + ${TIMESTAMP_EPOCH_HIGH} + (b > 4294967295 ? 1 : 0)
        } else if (at > end) return false; else { ${slow(attribute)} }`
    default:
      return code`return false`
  }
}

function emitVarlena(attribute: Emitted): SourceText {
  const { plan, column, form, k } = attribute
  const { align, plain } = plan.attribute
  const aligned = align === 1 ? code`` : code`if (bytes[at] === 0) at = (at + ${align - 1}) & ${-align};`
  // f: the header is not the one heap_form_tuple writes, so the raw lane keeps the datum.
  const measure = code`${aligned} s = at; b = bytes[s]; f = 0
    if (b & 1) { e = s + (b >>> 1); ${plain ? code`f = 1;` : code``} if (b === 1) { e = s + 18; f = 1 } at = s + 1 }
    else {
      if (s & 3) return false
      v = words[s >> 2] >>> 2; if (v < 4) return false
      e = s + v; at = s + 4; if (b & 2${plain ? code`` : code` || v <= ${SHORT_PAYLOAD_MAX + 4}`}) f = 1
    }
    if (e > end || e <= s) return false`
  if (!column) return code`${measure}\nT.slow(${k}, bytes, s, e, row, live[i]); at = e`
  if (!form) return code`${measure}\nif (f) T.slow(${k}, bytes, s, e, row, live[i]); else T.payload(${k}, bytes, s, at, e, row)\nat = e`
  if (form.kind === 'decimal') return code`${measure}\n${emitDecimal(form, attribute)}`
  return code`${measure}\n${emitBytes(form.kind === 'bytes' && form.utf8, attribute)}`
}

function emitBytes(utf8: boolean, attribute: Emitted): SourceText {
  const { k } = attribute
  // Four bytes at a time, the last four once more. b keeps a byte's high bit if it was above 0x7f, or zero and so borrowed.
  const watchWord = utf8 ? code`b |= v | (v - 0x01010101);` : code``
  const watchByte = utf8 ? code`b |= v | (v - 1);` : code``
  const word = (from: SourceText, to: SourceText): SourceText => code`v = view.getInt32(${from}, true); g${k}.setInt32(${to}, v, true); ${watchWord}`
  const copy = code`b = 0
    if (e - at > 3) {
      for (; at <= e - 4; at += 4, d${k} += 4) { ${word(code`at`, code`d${k}`)} }
      if (at < e) { d${k} += e - at; ${word(code`e - 4`, code`d${k} - 4`)} at = e }
    } else for (; at < e; at++) { v = bytes[at]; b${k}[d${k}++] = v; ${watchByte} }`
  const valid = code`isUtf8(bytes, e - (d${k} - o${k}[row]), e)`
  const check = utf8 ? code`if (b & 0x80808080 && !${valid}) { d${k} = o${k}[row]; ${slow(attribute)} } else` : code``
  return code`if (f) { ${slow(attribute)} at = e } else { ${copy}\n${check} o${k}[row + 1] = d${k} }`
}

function emitDecimal(form: InlineForm & { kind: 'decimal' }, attribute: Emitted): SourceText {
  const { k } = attribute
  // NUMERIC_SHORT with exactly the predicted display scale; any sign, any weight.
  const usual = form.displayScale > 63 ? code`false` : code`(h & 0xdf80) === ${0x8000 | (form.displayScale << 7)}`
  return code`h = bytes[at] | (bytes[at + 1] << 8); b = 0
    if (f === 0 && ${usual}) { ${smallDecimalSource(form.scale)} } else f = 1
    if (b && v < ${form.limit} && v > -${form.limit}) {
      w${k}[row * 4] = v; w${k}[row * 4 + 1] = w${k}[row * 4 + 2] = w${k}[row * 4 + 3] = v >> 31
      at = e
    } else if (f === 0 && (v = unscaled(bytes, at, e, ${form.scale}), v < ${form.limit} && v > -${form.limit})) {
      b = Math.floor(v / 4294967296)
      w${k}[row * 4] = v - b * 4294967296; w${k}[row * 4 + 1] = b; w${k}[row * 4 + 2] = w${k}[row * 4 + 3] = v < 0 ? -1 : 0
      at = e
    } else { ${slow(attribute)} at = e }`
}
