import { type ByteWriter, readU16, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Codec } from '../codec.ts'
import type { TextEncoding } from '../encoding/textencoding.ts'
import { lexemeText } from '../text/lexeme.ts'
import { nativeTextCodec } from '../text/nativetext.ts'
import { strictParse } from '../text/strict.ts'
import { OP_NOT, OP_PHRASE, PRIORITIES, QI_OPR, QI_VAL, subtreeEnds, TSQUERY_ITEM } from '../text/tsqueryformat.ts'
import { tsqueryParse } from '../text/tsqueryparse.ts'

const HEADER = 4
const ITEM = TSQUERY_ITEM
const SYMBOLS = ['', '!', ' & ', ' | ']

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.tsquery', reason)
}

function tsqueryText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const count = end - start < HEADER ? -1 : readU32(source, start)
  const area = start + HEADER + count * ITEM
  if (count < 0 || area > end) throw corrupt(`${count} items in ${end - start} bytes`)
  checkOperands(source, start + HEADER, area, end)
  if (count === 0) return
  const ends = subtreeEnds(count, (item) => {
    const at = start + HEADER + item * ITEM
    return source[at] === QI_VAL ? 0 : source[at + 1] === OP_NOT ? 1 : 2
  })
  if (!ends || ends[0] !== count) throw corrupt('operators and operands do not match')
  printItems(source, start + HEADER, area, ends, out)
}

/** Kinds and strings; strings share no bytes, so the text stays in proportion to the payload. */
function checkOperands(source: Uint8Array, items: number, area: number, end: number): void {
  let left = end - area
  for (let at = items; at < area; at += ITEM) {
    const kind = source[at]!
    const operator = source[at + 1]!
    if (kind === QI_OPR && operator >= OP_NOT && operator <= OP_PHRASE) continue
    if (kind !== QI_VAL) throw corrupt(`item of kind ${kind}, ${operator}`)
    const word = readU32(source, at + 8)
    const stringEnd = area + (word >>> 12) + (word & 0xfff)
    left -= (word & 0xfff) + 1
    if (stringEnd >= end || source[stringEnd] !== 0 || left < 0) throw corrupt('an operand without its string')
  }
}

interface Pending {
  item: number
  parentPriority: number
  rightOfPhrase: boolean
}

/** infix (tsquery.c), with a stack of our own. */
function printItems(source: Uint8Array, items: number, area: number, ends: Int32Array, out: ByteWriter): void {
  const pending: (Pending | string)[] = [{ item: 0, parentPriority: -1, rightOfPhrase: false }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next === 'string') {
      out.ascii(next)
      continue
    }
    const at = items + next.item * ITEM
    if (source[at] === QI_VAL) {
      operandText(source, at, area, out)
      continue
    }
    const operator = source[at + 1]!
    const priority = PRIORITIES[operator]!
    const right = { item: next.item + 1, parentPriority: priority, rightOfPhrase: operator === OP_PHRASE }
    if (operator === OP_NOT) {
      out.ascii(SYMBOLS[OP_NOT]!)
      pending.push(right)
      continue
    }
    const parentheses = priority < next.parentPriority || (operator === OP_PHRASE && next.rightOfPhrase)
    if (parentheses) {
      out.ascii('( ')
      pending.push(' )')
    }
    const symbol = operator === OP_PHRASE ? phraseSymbol((readU16(source, at + 2) << 16) >> 16) : SYMBOLS[operator]!
    pending.push(right, symbol, { item: ends[right.item]!, parentPriority: priority, rightOfPhrase: false })
  }
}

function phraseSymbol(distance: number): string {
  return distance === 1 ? ' <-> ' : ` <${distance}> `
}

function operandText(source: Uint8Array, at: number, area: number, out: ByteWriter): void {
  const word = readU32(source, at + 8)
  const string = area + (word >>> 12)
  lexemeText(source, string, string + (word & 0xfff), out)
  const weights = source[at + 1]!
  const prefix = source[at + 2] !== 0
  if (weights === 0 && !prefix) return
  out.ascii(`:${prefix ? '*' : ''}${weights & 8 ? 'A' : ''}${weights & 4 ? 'B' : ''}${weights & 2 ? 'C' : ''}${weights & 1 ? 'D' : ''}`)
}

const form = strictParse({ text: tsqueryText, parse: tsqueryParse })

/** tsquery: its text. @param encoding the database's; undefined for UTF-8 */
export function tsqueryCodec(encoding: TextEncoding | undefined): Codec {
  return nativeTextCodec(form, encoding)
}
