import fc from 'fast-check'
import { expect } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { utf8Decode, utf8Encode } from '../../src/common/utf8.ts'
import { ParseError } from '../../src/datum/codec.ts'

type Transform = (source: Uint8Array, start: number, end: number, out: ByteWriter) => void

export interface Form {
  text: Transform
  parse?: Transform | undefined
}

/** The payload of a stored varlena given as hex with its header, uncompressed and inline. */
export function payloadOf(datumHex: string): Uint8Array {
  const datum = hexDecode(datumHex)
  return datum.slice(datum[0]! & 1 ? 1 : 4)
}

/** Runs a transform on bytes in the middle of a larger buffer, into a writer that already holds bytes. */
function run(transform: Transform, bytes: Uint8Array, lead: number): Uint8Array {
  const around = new Uint8Array(bytes.length + lead + 3).fill(0xee)
  around.set(bytes, lead)
  const out = new ByteWriter(lead)
  out.zeros(lead)
  transform(around, lead, lead + bytes.length, out)
  return out.take().subarray(lead)
}

export function textOf(form: Form, payload: Uint8Array, lead = 5): string {
  return utf8Decode(run(form.text, payload, lead))
}

export function parseOf(form: Form, text: string | Uint8Array, lead = 5): Uint8Array {
  return run(form.parse!, typeof text === 'string' ? utf8Encode(text) : text, lead)
}

/** The server's own pairs of stored datum and text: both directions. */
export function expectVectors(form: Form, vectors: readonly (readonly [datumHex: string, text: string])[]): void {
  for (const [datumHex, text] of vectors) expectPair(form, payloadOf(datumHex), text)
}

export function expectPair(form: Form, payload: Uint8Array, text: string): void {
  expect(textOf(form, payload)).toBe(text)
  if (form.parse) expect(hexEncode(parseOf(form, text)), text).toBe(hexEncode(payload))
}

/** Whatever the payload: text or CorruptionError; whatever text gave, parse gives a payload of the same text, or ParseError. */
export function expectLawful(form: Form, payload: Uint8Array): void {
  let text: Uint8Array
  try {
    text = run(form.text, payload, 3)
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return
  }
  if (!form.parse) return
  let again: Uint8Array
  try {
    again = run(form.parse, text, 3)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return
  }
  expect(hexEncode(run(form.text, again, 3))).toBe(hexEncode(text))
}

/** Whatever the text: a payload of that text, or ParseError. */
export function expectStrictParse(form: Form, text: Uint8Array): void {
  let payload: Uint8Array
  try {
    payload = run(form.parse!, text, 3)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    return
  }
  expect(hexEncode(run(form.text, payload, 3))).toBe(hexEncode(text))
}

/** Payloads near the valid ones: a few bytes changed, cut or added. */
export function damaged(payloads: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const edit = fc.tuple(fc.nat(200), fc.integer({ min: 0, max: 255 }))
  return fc
    .tuple(fc.constantFrom(...payloads), fc.array(edit, { maxLength: 4 }), fc.integer({ min: -6, max: 6 }))
    .map(([payload, edits, delta]) => {
      const bytes = new Uint8Array(Math.max(0, payload.length + delta))
      bytes.set(payload.subarray(0, bytes.length))
      for (const [at, byte] of edits) if (bytes.length > 0) bytes[at % bytes.length] = byte
      return bytes
    })
}

/** Runs both laws over damaged vectors, arbitrary bytes and damaged texts. */
export function expectLaws(form: Form, vectors: readonly (readonly [datumHex: string, text: string])[], numRuns = 2000): void {
  const payloads = vectors.map(([datumHex]) => payloadOf(datumHex))
  fc.assert(fc.property(damaged(payloads), (payload) => expectLawful(form, payload)), { numRuns })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => expectLawful(form, payload)), { numRuns })
  if (!form.parse) return
  const texts = vectors.map(([, text]) => utf8Encode(text))
  fc.assert(fc.property(damaged(texts), (text) => expectStrictParse(form, text)), { numRuns })
}
