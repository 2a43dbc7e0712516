import type { BytesVector, Vector } from '../vector/vector.ts'
import { headerLength, SIZE_OF_TUPLE_HEADER, T_HOFF } from '../tuple/header.ts'
import { SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
import type { Batch } from './batch.ts'
import { compile } from './compile.ts'
import { writeNumeric } from './decimal.ts'
import type { TupleFormer } from './formtuple.ts'
import {
  DATE_EPOCH_DAYS, type InlineForm, inlineForm, TIMESTAMP_EPOCH_HIGH, TIMESTAMP_EPOCH_LOW,
} from './inline.ts'
import type { ColumnPlan, RelationSchema } from './schema.ts'
import { code, codeLines, type SourceText } from './sourcetext.ts'

/** Where formed tuples go: zeroed memory, tuples 8-aligned. */
export interface TupleScratch {
  bytes: Uint8Array
  words: Int32Array
  view: DataView
}

/** Bytes a tuple may take in the scratch before the interpreter must form it: more than any page holds. */
export const SCRATCH_TUPLE_MAX = 16384
const ATTRIBUTES_MAX = 120

/**
 * Forms the data of row `row` at `start` of the scratch: attributes, null bitmap and t_hoff, but no other header field.
 * @returns end of the tuple * 4 + HASNULL (1) + HASVARWIDTH (2), or -1 if the interpreter must form the row
 */
export type FormRow = (row: number, start: number) => number

/** Code specialised for one TupleDesc; `refresh` it after the batch grew. Undefined where it does not pay. */
export interface GeneratedFormer {
  refresh(): void
  form: FormRow
}

type Factory = (
  columns: readonly Vector[], overflow: readonly BytesVector[], former: TupleFormer, scratch: TupleScratch, numeric: typeof writeNumeric,
) => GeneratedFormer

export function generateFormer(schema: RelationSchema, batch: Batch, former: TupleFormer, scratch: TupleScratch): GeneratedFormer | undefined {
  const { attributes } = schema
  if (attributes.length === 0 || attributes.length > ATTRIBUTES_MAX) return undefined
  // A stored value of an attribute without column is always in the raw lane: such rows are the interpreter's.
  const factory = compile<Factory>(['V', 'O', 'T', 'S', 'writeNumeric'], source(schema))
  return factory(batch.columns, batch.overflow, former, scratch, writeNumeric)
}

interface Emitted {
  column: ColumnPlan | undefined
  form: InlineForm | undefined
  len: number
  align: number
  plain: boolean
  k: number
}

function source(schema: RelationSchema): SourceText {
  const attributes = schema.attributes.map(({ attribute, column }, k): Emitted => {
    const { len, align, plain } = attribute
    return { column, form: column && inlineForm(attribute, column, schema.context), len, align, plain, k }
  })
  const columns = attributes.filter(({ column }) => column)
  const each = (emit: (attribute: Emitted) => SourceText): SourceText => codeLines(columns.map(emit))
  const allPresent = columns.length === attributes.length && columns.length > 0
  const present = allPresent ? codeLines(columns.map(({ k }) => code`a${k}[y]`), ' & ') : code`0`
  const full = columns.map(({ k }) => bitmapFull(k, attributes.length)).filter((test) => test !== undefined)
  const hasVarlena = columns.some(({ len }) => len < 0)
  return code`'use strict'
const bytes = S.bytes, words = S.words, view = S.view
${each(declare)}
function refresh() {
  ${each(refresh)}
}
function form(row, start) {
  const y = row >> 3, m = 1 << (row & 7)
  let at = 0, s = 0, e = 0, b = 0, v = 0, implied = 0
  ${columns.some(({ form }) => form?.kind === 'decimal') ? code`const scaled = T.hasScales(row)` : code``}
  if (${present} & m) {
    at = start + ${headerLength(attributes.length, false)}
    bytes[start + ${T_HOFF}] = ${headerLength(attributes.length, false)}
    ${each(emitChecked)}
    return at * 4 + ${hasVarlena ? 2 : 0}
  }
  at = start + ${headerLength(attributes.length, true)}
  ${each(emitNullable)}
  ${columns.length > 0 ? code`if (${full.length > 0 ? codeLines(full, ' && ') : code`false`}) return -1` : code``}
  bytes[start + ${T_HOFF}] = ${headerLength(attributes.length, true)}
  return at * 4 + 1 + implied
}
return { refresh, form }`
}

function declare({ k, column }: Emitted): SourceText {
  const overflow = column!.overflow < 0 ? code`` : code`const x${k} = O[${column!.overflow}];`
  return code`const v${k} = V[${column!.index}]; let a${k}, w${k}, o${k}, g${k}; ${overflow}`
}

/** A row whose every attribute has a value, by the overflow lane, has no bitmap: rare, so left to the interpreter. */
function bitmapFull(k: number, count: number): SourceText | undefined {
  const last = count - 1
  if (k % 8 !== 0) return undefined
  const bits = k >> 3 === last >> 3 ? (2 << (last & 7)) - 1 : 0xff
  return code`bytes[start + ${SIZE_OF_TUPLE_HEADER + (k >> 3)}] === ${bits}`
}

function refresh({ k, form }: Emitted): SourceText {
  const validity = code`a${k} = v${k}.validity;`
  if (form?.kind === 'bytes') return code`${validity} w${k} = v${k}.data.bytes; g${k} = v${k}.data.view; o${k} = v${k}.offsets`
  if (form?.kind === 'boolean') return code`${validity} w${k} = v${k}.bits`
  return form ? code`${validity} w${k} = v${k}.words` : validity
}

function hasText({ column, k }: Emitted): SourceText {
  return column!.overflow < 0 ? code`false` : code`(x${k}.length > row && !x${k}.isNull(row))`
}

function emitNullable(attribute: Emitted): SourceText {
  const { k, len } = attribute
  return code`if (${hasText(attribute)} || (a${k}[y] & m)) {
    bytes[start + ${SIZE_OF_TUPLE_HEADER + (k >> 3)}] |= ${1 << (k & 7)}; ${len < 0 ? code`implied = 2;` : code``}
    ${emitChecked(attribute)}
  }`
}

/** The text lane goes first: a rounded numeric has both. */
function emitChecked(attribute: Emitted): SourceText {
  const { form, column } = attribute
  if (!form) return emitCalled(attribute)
  if (column!.overflow < 0) return emitInline(form, attribute)
  return code`if (${hasText(attribute)}) { ${emitCalled(attribute)} } else { ${emitInline(form, attribute)} }`
}

function align({ align: alignment }: Emitted): SourceText {
  return alignment === 1 ? code`` : code`at = (at + ${alignment - 1}) & ${-alignment};`
}

function emitCalled(attribute: Emitted): SourceText {
  const { k, len } = attribute
  const aligned = len > 0 ? align(attribute) : len === -1 ? code`if (s === 0) { ${align(attribute)} }` : code``
  return code`s = T.datumAt(${k}, row); e = T.datumEnd; if (at + e - s > start + ${SCRATCH_TUPLE_MAX}) return -1
    ${aligned} b = T.datumBytes; for (; s < e; s++) bytes[at++] = b[s]`
}

function emitInline(form: InlineForm, attribute: Emitted): SourceText {
  const { k, len } = attribute
  const value = code`w${k}[row]`
  switch (form.kind) {
    case 'word':
      return code`${align(attribute)} words[at >> 2] = ${value}; at += 4`
    case 'date':
      return code`${align(attribute)} words[at >> 2] = ${value} - ${DATE_EPOCH_DAYS}; at += 4`
    case 'uint32':
      return code`if (w${k}[row * 2 + 1] !== 0) return -1; ${align(attribute)} words[at >> 2] = w${k}[row * 2]; at += 4`
    case 'doubleword':
      return code`${align(attribute)} words[at >> 2] = w${k}[row * 2]; words[(at >> 2) + 1] = w${k}[row * 2 + 1]; at += 8`
    case 'timestamp':
      return code`${align(attribute)} v = (w${k}[row * 2] >>> 0) - ${TIMESTAMP_EPOCH_LOW}; words[at >> 2] = v | 0
        words[(at >> 2) + 1] = w${k}[row * 2 + 1] - ${TIMESTAMP_EPOCH_HIGH} - (v < 0 ? 1 : 0); at += 8`
    case 'int16':
      return code`v = ${value}; if (v !== (v << 16) >> 16) return -1; ${align(attribute)} bytes[at] = v; bytes[at + 1] = v >>> 8; at += 2`
    case 'boolean':
      return code`bytes[at] = w${k}[y] & m ? 1 : 0; at += ${len}`
    case 'bytes':
      return emitBytes(attribute)
    case 'decimal':
      return emitDecimal(form, attribute)
  }
}

function emitBytes(attribute: Emitted): SourceText {
  const { k, plain } = attribute
  const short = code`if (e - s <= ${SHORT_PAYLOAD_MAX}) { bytes[at++] = ((e - s + 1) << 1) | 1 } else`
  return code`s = o${k}[row]; e = o${k}[row + 1]; if (at + e - s + 8 > start + ${SCRATCH_TUPLE_MAX}) return -1
    ${plain ? code`` : short} { ${align(attribute)} words[at >> 2] = (e - s + 4) << 2; at += 4 }
    if (e - s > 3) {
      for (; s <= e - 4; s += 4, at += 4) view.setInt32(at, g${k}.getInt32(s, true), true)
      if (s < e) { at += e - s; view.setInt32(at - 4, g${k}.getInt32(e - 4, true), true) }
    } else for (; s < e; s++) bytes[at++] = w${k}[s]`
}

function emitDecimal(form: InlineForm & { kind: 'decimal' }, attribute: Emitted): SourceText {
  const { k, plain } = attribute
  // The value as a double: exact if the two high words are its sign and it is below 2^53.
  const simple = code`b = w${k}[row * 4 + 1]; v = b * 4294967296 + (w${k}[row * 4] >>> 0)
    e = (!scaled && w${k}[row * 4 + 2] === (b >> 31) && w${k}[row * 4 + 3] === (b >> 31) && v < 9007199254740992 && v > -9007199254740992) ? `
  const never = plain || form.displayScale > 63 || form.displayScale > form.scale
  const write = never ? code`-1` : code`writeNumeric(bytes, at + 1, v, ${form.scale}, ${form.displayScale})`
  return code`${simple} ${write} : -1
    if (e < 0) { ${emitCalled(attribute)} } else { bytes[at] = ((e - at) << 1) | 1; at = e }`
}
