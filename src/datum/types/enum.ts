import { type ByteWriter, readU32 } from '../../common/bytes.ts'
import { assert, CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { type Codec, ParseError } from '../codec.ts'
import { hexParse, hexText } from '../text/hextext.ts'
import { checkPayload } from './payload.ts'
import type { TypeDef } from '../typedef.ts'
import type { BytesVector } from '../../vector/vector.ts'

/*
 * enum (enum.c): the oid of a pg_enum row, u32 little-endian; what it is called is only in the catalog
 *
 *   04 40 00 00      pg_enum 16388 'happy'
 */
const HEX_TEXT_LENGTH = 10

/** An enum type by the labels pinned in `def`. Oids without a label overflow as the hex of the payload; if `strict`, their text throws. */
export function enumCodec(def: TypeDef, strict = false): Codec {
  assert(def.labels !== undefined, `enum ${def.name} without labels`)
  const labels = new Labels(def.labels)
  const type = `enum ${def.name}`
  return {
    column: { kind: 'string' },
    overflows: true,
    decode(source, start, end, out) {
      checkPayload(type, source, start, end, 4)
      const strings = out as BytesVector
      const label = labels.labelOf(readU32(source, start))
      if (!label) {
        strings.pushNull()
        return false
      }
      strings.push(label)
      return true
    },
    encode(column, row, out) {
      const strings = column as BytesVector
      const oid = labels.oidOf(strings.data.bytes, strings.start(row), strings.end(row))
      if (oid === undefined) throw new ParseError(`no label of enum ${def.name}`)
      out.u32(oid)
    },
    text(source, start, end, out) {
      checkPayload(type, source, start, end, 4)
      const label = labels.labelOf(readU32(source, start))
      if (label) out.copy(label)
      else if (strict) throw new CorruptionError('datum.enum', `${type} has no label of oid ${readU32(source, start)}`)
      else hexText(source, start, end, out)
    },
    parse(text, start, end, out) {
      const oid = labels.oidOf(text, start, end)
      if (oid === undefined) parseUnknown(labels, text, start, end, out)
      else out.u32(oid)
    },
  }
}

function parseUnknown(labels: Labels, text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start !== HEX_TEXT_LENGTH) throw new ParseError('neither a label nor an oid in hex')
  const before = out.length
  hexParse(text, start, end, out)
  if (labels.labelOf(readU32(out.bytes, before))) throw new ParseError('hex of an oid that has a label')
}

/** Labels as UTF-8, found by oid, and by their bytes without making a string of them. */
class Labels {
  readonly #byOid = new Map<Oid, Uint8Array>()
  readonly #byHash = new Map<number, { oid: Oid; label: Uint8Array }[]>()

  constructor(labels: readonly (readonly [Oid, string])[]) {
    for (const [oid, text] of labels) {
      const label = utf8Encode(text)
      this.#byOid.set(oid, label)
      const hash = hashOf(label, 0, label.length)
      this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), { oid, label }])
    }
  }

  labelOf(oid: Oid): Uint8Array | undefined {
    return this.#byOid.get(oid)
  }

  oidOf(text: Uint8Array, start: number, end: number): Oid | undefined {
    return this.#byHash.get(hashOf(text, start, end))?.find(({ label }) => isAt(text, start, end, label))?.oid
  }
}

/** FNV-1a. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash
}

function isAt(text: Uint8Array, start: number, end: number, label: Uint8Array): boolean {
  if (label.length !== end - start) return false
  for (let i = 0; i < label.length; i++) if (text[start + i] !== label[i]) return false
  return true
}
