import { type ByteWriter, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { type Codec, ParseError } from '../codec.ts'
import { checkPayload } from './payload.ts'
import { RangeBounds } from '../text/rangebounds.ts'
import { type TextForm, textCodec } from '../text/textcodec.ts'

/*
 * RangeType (rangetypes.c, range_serialize), positions from the 4-byte header
 *
 *  4           8
 *  +-----------+-------------+-------------+-------+
 *  | range oid | lower bound | upper bound | flags |      a bound that is infinite, or of an empty range, is not there
 *  +-----------+-------------+-------------+-------+
 *
 * Varlena bounds are packed like tuple fields (datum_write): a 1-byte header, unaligned, where it fits.
 */

/** Ranges of type `oid` over `subtype`, whose values lie in them by `layout` (pg_type's typlen, typalign, typstorage of the subtype). */
export function rangeCodec(subtype: Codec, layout: AttributeLayout, oid: Oid): Codec {
  const bounds = new RangeBounds(subtype, layout)
  const form: TextForm = {
    text(source, start, end, out) {
      checkPayload('range', source, start, end)
      if (end - start < 5) throw new CorruptionError('datum.range', `${end - start} bytes are no range`)
      const stored = readU32(source, start)
      if (stored !== oid) throw new CorruptionError('datum.range', `a range of type ${stored} where type ${oid} is declared`)
      bounds.text(source, start - 4, start + 4, end - 1, source[end - 1]!, out)
    },
  }
  if (subtype.parse) form.parse = (text, start, end, out) => parseRange(bounds, oid, text, start, end, out)
  return textCodec(form)
}

function parseRange(bounds: RangeBounds, oid: Oid, text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const origin = out.length - 4
  out.u32(oid)
  if (bounds.parse(text, start, end, origin, out) !== end) throw new ParseError('junk after a range')
  out.u8(bounds.flags)
}
