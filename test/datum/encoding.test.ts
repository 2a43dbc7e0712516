import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Code, codeRanges, codesText, ownCodes, repeatedTexts } from '../../fixtures/encodings/probe.ts'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { isUtf8, utf8Encode } from '../../src/common/utf8.ts'
import { type TextEncoding, textEncoding } from '../../src/datum/encoding/encodings.ts'

const LAST_ENCODING = 34
const NAMES = Array.from({ length: LAST_ENCODING + 1 }, (_, number) => textEncoding(number).name)
const WITH_TABLE = NAMES.filter((name) => !['SQL_ASCII', 'UTF8', 'MULE_INTERNAL'].includes(name))
const HASHES = JSON.parse(readFileSync(new URL('../../fixtures/encodings/sha256.json', import.meta.url), 'utf8')) as
  Record<string, { codes: number; sha256: string; repeated: string }>

function named(name: string): TextEncoding {
  return textEncoding(NAMES.indexOf(name))
}

function sha256(codes: readonly Code[]): string {
  return createHash('sha256').update(codesText(codes)).digest('hex')
}

type Direction = TextEncoding['toUtf8']

/** The converted bytes in hex, null for false; checks that the content of the writer is kept and that false appends nothing. */
function convert(direction: Direction, hex: string): string | null {
  const source = hexDecode(`eeee${hex}ee`)
  const out = new ByteWriter(1)
  out.u8(0x77)
  const done = direction(source, 2, source.length - 1, out)
  expect(out.bytes[0]).toBe(0x77)
  if (!done) expect(out.length).toBe(1)
  return done ? hexEncode(out.take()).slice(2) : null
}

function toUtf8(name: string, hex: string): string | null {
  return convert(named(name).toUtf8, hex)
}

function fromUtf8(name: string, hex: string): string | null {
  return convert(named(name).fromUtf8, hex)
}

describe('textEncoding', () => {
  it('knows every backend encoding and no other', () => {
    expect(Object.keys(HASHES).sort()).toEqual([...WITH_TABLE].sort())
    for (const number of [-1, LAST_ENCODING + 1, 1.5]) expect(() => textEncoding(number)).toThrow('datum.encoding')
  })

  it.each(WITH_TABLE)('%s: all codes as real servers convert them, and back', (name) => {
    const codes = codeRanges(name, true).flatMap((range) => ownCodes(named(name), range))
    const written = repeatedTexts(codes).map((utf8) => ({ code: fromUtf8(name, utf8)!, utf8 }))
    expect({ codes: codes.length, sha256: sha256(codes), repeated: sha256(written) }).toEqual(HASHES[name])
    const repeated = new Set(written.map(({ utf8 }) => utf8))
    for (const { code, utf8 } of codes) if (!repeated.has(utf8)) expect(fromUtf8(name, utf8)).toBe(code)
  })

  it.each(NAMES)('%s: ASCII is ASCII, a zero byte is nothing', (name) => {
    for (const hex of ['', '41', '017f'.repeat(20), '41'.repeat(63), '41'.repeat(64), '41'.repeat(65)]) {
      expect(toUtf8(name, hex)).toBe(hex)
      expect(fromUtf8(name, hex)).toBe(hex)
    }
    for (const hex of ['00', '4100', '0041', `${'41'.repeat(70)}00`, `${'41'.repeat(70)}0041`]) {
      expect(toUtf8(name, hex)).toBeNull()
      expect(fromUtf8(name, hex)).toBeNull()
    }
  })

  it.each(NAMES)('%s: whatever the bytes, valid UTF-8 or nothing, and back to bytes of the same text', (name) => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ min: 0x8e, maxLength: 8 }), fc.uint8Array({ min: 0xa0, maxLength: 8 }),
    )
    fc.assert(fc.property(bytes, (source) => {
      const hex = hexEncode(source)
      const text = toUtf8(name, hex)
      if (text === null) return
      expect(isUtf8(hexDecode(text), 0, text.length / 2)).toBe(true)
      const back = fromUtf8(name, text)
      expect(back).not.toBeNull()
      expect(toUtf8(name, back!)).toBe(text)
    }), { numRuns: 2000 })
  })

  it.each(NAMES)('%s: bytes that are not UTF-8 do not come back', (name) => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), (source) => {
      if (!isUtf8(source, 0, source.length)) expect(fromUtf8(name, hexEncode(source))).toBeNull()
    }))
  })
})

describe('UTF8 and SQL_ASCII', () => {
  it.each(['UTF8', 'SQL_ASCII'])('%s: a copy of what is valid, the byte order mark too', (name) => {
    for (const text of ['\ufeffé', 'é', '漢字', '\u{10ffff}', 'a'.repeat(100) + 'é', 'é'.repeat(100)]) {
      const hex = hexEncode(utf8Encode(text))
      expect(toUtf8(name, hex)).toBe(hex)
    }
    for (const hex of ['80', 'ff', 'c3', 'c080', 'eda080', 'f4908080', `${'41'.repeat(100)}c3`]) expect(toUtf8(name, hex)).toBeNull()
  })
})

describe('MULE_INTERNAL', () => {
  it('is text as far as it is ASCII', () => {
    expect(toUtf8('MULE_INTERNAL', '81e9')).toBeNull()
    expect(fromUtf8('MULE_INTERNAL', 'c3a9')).toBeNull()
  })
})
