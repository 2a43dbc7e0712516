import { ByteWriter } from '../../common/bytes.ts'
import { ParseError } from '../codec.ts'

type Transform = (source: Uint8Array, start: number, end: number, out: ByteWriter) => void

const LONGEST_TEXT = 200

/**
 * A parser that accepts exactly what `text` writes: `scan` reads the text (one char per byte) and appends a payload; if `text` of
 * that payload is anything else, or `scan` throws ParseError, nothing stays in the writer. For short texts off the hot path.
 */
export function exactParse(type: string, text: Transform, scan: (input: string, out: ByteWriter) => void): Transform {
  const again = new ByteWriter(LONGEST_TEXT)
  return (source, start, end, out) => {
    if (end - start > LONGEST_TEXT || start < 0 || end > source.length) throw new ParseError(`${type}: not its text`)
    const from = out.length
    let input = ''
    for (let i = start; i < end; i++) input += String.fromCharCode(source[i]!)
    try {
      scan(input, out)
      again.length = 0
      text(out.bytes, from, out.length, again)
      if (!sameBytes(again, source, start, end)) throw new ParseError(`${type}: not its canonical text`)
    } catch (error) {
      out.length = from
      throw error
    }
  }
}

/** True if `writer` holds exactly `source[start .. end)`. */
export function sameBytes(writer: ByteWriter, source: Uint8Array, start: number, end: number): boolean {
  if (writer.length !== end - start) return false
  for (let i = start; i < end; i++) if (writer.bytes[i - start] !== source[i]) return false
  return true
}
