import { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { ParseError } from '../codec.ts'
import { sameBytes } from './exactparse.ts'
import type { TextForm } from './textcodec.ts'

/**
 * Makes a lenient `parse` strict, for types whose texts are short and rare: the payload that it read is printed, and the result must be the same
 * text. So only texts of the output function are accepted, and a payload never means something else than its text.
 */
export function strictParse(form: Required<TextForm>): Required<TextForm> {
  const { text, parse } = form
  return {
    text,
    parse(source, start, end, out) {
      const from = out.length
      parse(source, start, end, out)
      if (!printsAs(text, out, from, source, start, end)) {
        out.length = from
        throw new ParseError('not a text that a server prints')
      }
    },
  }
}

function printsAs(
  text: TextForm['text'], payload: ByteWriter, from: number, expected: Uint8Array, start: number, end: number,
): boolean {
  const printed = new ByteWriter(end - start)
  try {
    text(payload.bytes, from, payload.length, printed)
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
  return sameBytes(printed, expected, start, end)
}
