import { ByteWriter } from '../../common/bytes.ts'
import { AsciiReader } from './asciireader.ts'
import { ParseError } from '../codec.ts'
import { legacyCrc32 } from './legacycrc32.ts'
import { lexemeParse } from './lexeme.ts'
import { OP_NOT, OP_PHRASE, PRIORITIES, QI_OPR, QI_VAL, subtreeEnds, TSQUERY_ITEM } from './tsqueryformat.ts'

const OPEN = 0
const MAXSTRLEN = 0x7ff
const MAXSTRPOS = 0xfffff
const WEIGHTS: readonly (readonly [string, number])[] = [['A', 8], ['B', 4], ['C', 2], ['D', 1]]

/** The payload that tsqueryin makes of the text: operators of equal priority group to the left. Lenient: the caller prints it again. */
export function tsqueryParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (start === end) {
    out.u32(0)
    return
  }
  const query = new QueryParser(text, start, end)
  query.run()
  const { items, strings } = query
  const count = items.length / TSQUERY_ITEM
  const from = out.length
  out.u32(count)
  // The stack machine wrote operands before their operator, from left to right; the payload has the operator first, and its right operand before the
  // left one.
  for (let item = count - 1; item >= 0; item--) out.copy(items.bytes, item * TSQUERY_ITEM, (item + 1) * TSQUERY_ITEM)
  const first = from + 4
  const { bytes } = out
  const at = (item: number) => first + item * TSQUERY_ITEM
  const argumentsOf = (item: number) => (bytes[at(item)] === QI_VAL ? 0 : bytes[at(item) + 1] === OP_NOT ? 1 : 2)
  const ends = subtreeEnds(count, argumentsOf)
  if (!ends || ends[0] !== count) throw new ParseError('tsquery: operators and operands do not match')
  for (let item = 0; item < count; item++) {
    if (argumentsOf(item) > 0) out.setU32(at(item) + 4, argumentsOf(item) === 1 ? 1 : ends[item + 1]! - item)
  }
  out.copy(strings.bytes, 0, strings.length)
}

/** makepol (tsquery.c): a stack of operators; parentheses are markers on it. */
class QueryParser {
  readonly items = new ByteWriter()
  readonly strings = new ByteWriter()
  private readonly reader: AsciiReader
  private readonly stack: { operator: number; distance: number }[] = []

  constructor(text: Uint8Array, start: number, end: number) {
    this.reader = new AsciiReader(text, start, end)
  }

  run(): void {
    const { reader, stack } = this
    for (;;) {
      if (reader.skip('!')) {
        stack.push({ operator: OP_NOT, distance: 0 })
        continue
      }
      if (reader.skip('( ')) {
        stack.push({ operator: OPEN, distance: 0 })
        continue
      }
      this.operand()
      while (reader.skip(' )')) this.closeParenthesis()
      if (reader.done) break
      this.binary()
    }
    this.unwind(0)
    if (stack.length > 0) throw new ParseError('tsquery: an open parenthesis')
  }

  private closeParenthesis(): void {
    this.unwind(0)
    if (this.stack.pop()?.operator !== OPEN) throw new ParseError('tsquery: a parenthesis that was not opened')
  }

  /** Writes the operators that bind at least as much as `priority`, down to an open parenthesis. */
  private unwind(priority: number): void {
    const { stack, items } = this
    for (let top = stack.at(-1); top && top.operator !== OPEN && PRIORITIES[top.operator]! >= priority; top = stack.at(-1)) {
      stack.pop()
      items.u8(QI_OPR)
      items.u8(top.operator)
      items.u16(top.distance & 0xffff)
      items.zeros(8)
    }
  }

  private binary(): void {
    const { reader, stack } = this
    let operator = OP_PHRASE
    let distance = 0
    if (reader.skip(' & ')) operator = 2
    else if (reader.skip(' | ')) operator = 3
    else if (reader.skip(' <-> ')) distance = 1
    else {
      reader.expect(' <')
      distance = reader.unsigned(0x7fff)
      reader.expect('> ')
    }
    this.unwind(PRIORITIES[operator]!)
    stack.push({ operator, distance })
  }

  private operand(): void {
    const { reader, strings, items } = this
    const offset = strings.length
    lexemeParse(reader, strings)
    const length = strings.length - offset
    if (length >= MAXSTRLEN || offset >= MAXSTRPOS) throw new ParseError('tsquery: too long')
    let weights = 0
    let prefix = 0
    if (reader.skip(':')) {
      if (reader.skip('*')) prefix = 1
      for (const [letter, weight] of WEIGHTS) if (reader.skip(letter)) weights |= weight
    }
    items.u8(QI_VAL)
    items.u8(weights)
    items.u8(prefix)
    items.u8(0)
    items.u32(legacyCrc32(strings.bytes, offset, strings.length))
    items.u32(length | (offset << 12))
    strings.u8(0)
  }
}
