import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  EUC_ENCODINGS, PROBE_SQL, SINGLE_BYTE_ENCODINGS, codeRanges, codesText, convertAll, ownCodes, readCodes,
} from '../../fixtures/encodings/probe.ts'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { type TextEncoding, textEncoding } from '../../src/datum/encoding/encodings.ts'
import { fewerMajors, type Session, withCluster } from '../support/oracle.ts'

const LAST_ENCODING = 34
const SAMPLES = 3000

function own(direction: TextEncoding['toUtf8'], hex: string): string | null {
  const source = hexDecode(hex)
  const out = new ByteWriter()
  return direction(source, 0, source.length, out) ? hexEncode(out.take()) : null
}

/** Valid codes with damage: random bytes between them, bytes cut off at the end. */
function codesAndDamage(codes: readonly string[]): fc.Arbitrary<string> {
  const byte = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0x80, max: 0xff }) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
  )
  const damage = fc.array(byte, { minLength: 1, maxLength: 3 }).map((bytes) => hexEncode(Uint8Array.from(bytes)))
  const part = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...codes, '41') }, { weight: 1, arbitrary: damage })
  return fc.tuple(fc.array(part, { maxLength: 6 }), fc.constantFrom(0, 0, 0, 1)).map(([parts, cut]) => {
    const hex = parts.join('')
    return hex.slice(0, hex.length - 2 * Math.min(cut, hex.length / 2))
  })
}

async function expectSameAsServer(sql: Session, encoding: TextEncoding, codes: readonly string[]): Promise<void> {
  const samples = fc.array(codesAndDamage(codes), { minLength: SAMPLES, maxLength: SAMPLES, size: 'max' })
  await fc.assert(fc.asyncProperty(samples, async (hexes) => {
    const texts = await convertAll(sql, encoding.name, 'to_utf8', hexes)
    expect(hexes.map((hex) => own(encoding.toUtf8, hex))).toEqual(texts)
    const valid = texts.filter((text) => text !== null)
    expect(valid.map((text) => own(encoding.fromUtf8, text))).toEqual(await convertAll(sql, encoding.name, 'from_utf8', valid))
  }), { numRuns: 1, endOnFailure: true })
}

describe.each(fewerMajors('majors of encodings'))('Postgres %i', (major) => {
  it('converts every code and damaged text as we do', async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      await sql.exec(PROBE_SQL)
      for (let number = 0; number <= LAST_ENCODING; number++) {
        expect(textEncoding(number).name).toBe(await sql.value('SELECT pg_encoding_to_char($1)', [number]))
      }
      for (const name of [...SINGLE_BYTE_ENCODINGS, ...EUC_ENCODINGS]) {
        const encoding = textEncoding(Number(await sql.value('SELECT pg_char_to_encoding($1)', [name])))
        const codes = []
        for (const range of codeRanges(name, false)) {
          const found = await readCodes(sql, name, range)
          expect(codesText(ownCodes(encoding, range)) === codesText(found), `${name} ${range.prefix}`).toBe(true)
          codes.push(...found.map(({ code }) => code))
          const texts = found.map(({ utf8 }) => utf8)
          const back = await convertAll(sql, name, 'from_utf8', texts)
          expect(texts.filter((text, n) => own(encoding.fromUtf8, text) !== back[n]), `${name} ${range.prefix}`).toEqual([])
        }
        await expectSameAsServer(sql, encoding, codes)
      }
      for (const number of [0, 6]) await expectSameAsServer(sql, textEncoding(number), ['c3a9', 'e6bca2', 'efbbbf', 'f48fbfbf'])
    })
  })
})
