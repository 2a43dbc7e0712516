import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexEncode } from '../../src/common/bytes.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { textEncoding } from '../../src/datum/encoding/encodings.ts'
import { hstoreCodec } from '../../src/datum/types/hstore.ts'
import { jsonbCodec } from '../../src/datum/types/jsonb.ts'
import { tsqueryCodec } from '../../src/datum/types/tsquery.ts'
import { tsvectorCodec } from '../../src/datum/types/tsvector.ts'
import { parseOf, textOf } from '../datum/textlaws.ts'
import { connect, fewerMajors, majors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { brief, store } from './stored.ts'

const codec = jsonbCodec(undefined)

const EDGES = [
  '{}', '[]', '""', 'null', 'true', 'false', '0', '-0', '-0.0', '0.000', '1.10', '1E400', '-1e-400', '1e131071', `0.${'0'.repeat(16000)}1`,
  '123456789012345678901234567890.123456789', '9999', '10000', '10001', '0.0001', '1e-4', '100000000', '0.00000001',
  '{"": 1, " ": 2, "é": 3, "a": 4, "A": 5}', '{"b": 1, "a": 2, "b": 3}', '{"": {"": {"": []}}}', '[[[[[[1]]]]]]', '[{}, [], {}, "", [""]]',
  '"\\u0001\\u0008\\u0009\\u000a\\u000b\\u000c\\u000d\\u001f\\u007f\\u0080 \\" \\\\ \\/ / \\ud83d\\ude00 \\u2028"',
  JSON.stringify(Array.from({ length: 200 }, (_, i) => i)), JSON.stringify(Array.from({ length: 33 }, () => null)),
  JSON.stringify(Array.from({ length: 100 }, (_, i) => ({ k: 'x'.repeat(i), n: i / 8 }))),
  JSON.stringify(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key${i * 7919}`, i % 3 ? i : String(i)]))),
  JSON.stringify(Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`k${i}`, [i]]))),
  JSON.stringify(Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`k${i}`, { i }]))),
  `${'['.repeat(500)}1.5${']'.repeat(500)}`, `${'{"a": '.repeat(500)}"x"${'}'.repeat(500)}`,
  JSON.stringify('x'.repeat(20_000)), JSON.stringify({ a: 'y'.repeat(9000), b: ['z'.repeat(5000), 1] }),
]

const string = fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !text.includes('\0')).map((text) => JSON.stringify(text))
const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?$/)
const scalar = fc.oneof(string, number, fc.constantFrom('true', 'false', 'null', '""', '"a"'))
const json = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 40 }).map((items) => `[${items.join(',')}]`),
    fc.array(fc.tuple(fc.oneof(string, fc.constantFrom('"a"', '"b"', '""')), tie('value')), { maxLength: 40 })
      .map((items) => `{${items.map(([key, value]) => `${key}:${value}`).join(',')}}`),
  ),
})).value

/** Strings are in the database's encoding, and keys sort by its bytes: in LATIN1 "é" is as long as "z". */
test('a database in LATIN1', async () => {
  const latin1 = textEncoding(8)
  await withCluster(majors().at(-1)!, {}, async (cluster, template) => {
    await template.exec("create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
    const sql = await connect(cluster, 'latin')
    for (const extension of ['pageinspect', 'hstore']) await sql.exec(`create extension ${extension}`)
    const cases = [
      ['jsonb', jsonbCodec(latin1), ['{"é": 1, "z": 2, "aa": "ü\\n"}', '"ÿ"', '[]']],
      ['hstore', hstoreCodec(latin1), ['"é"=>"ü", z=>1, aa=>NULL', '']],
      ['tsvector', tsvectorCodec(latin1), ["'é':1 'z' 'ü''x'"]],
      ['tsquery', tsqueryCodec(latin1), ["'é' & !'ü'"]],
    ] as const
    for (const [type, latin, inputs] of cases) {
      for (const value of await store(sql, type, inputs)) {
        expect(textOf(latin, value.payload)).toBe(value.text)
        expect(hexEncode(parseOf(latin, value.text)), brief(value)).toBe(hexEncode(value.payload))
        const column = newVector(latin.column)
        expect(latin.decode(value.payload, 0, value.payload.length, column)).toBe(true)
        const out = new ByteWriter()
        latin.encode!(column, 0, out)
        expect(hexEncode(out.take())).toBe(hexEncode(value.payload))
      }
    }
  })
})

describe.each(fewerMajors('majors of jsonb'))('jsonb on Postgres %i', (major) => {
  test('text and bytes are the server’s', async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      await sql.exec('create extension pageinspect')
      const documents = fc.sample(json, { numRuns: 400, seed: TEST_SEED })
      for (const value of await store(sql, 'jsonb', [...EDGES, ...documents])) {
        const message = `seed ${TEST_SEED}: ${brief(value)}`
        expect(textOf(codec, value.payload), message).toBe(value.text)
        expect(hexEncode(parseOf(codec, value.text)), message).toBe(hexEncode(value.payload))
      }
      // Values that SQL computes, not text: numerics keep their dscale, NaN and infinities become strings or are refused.
      const computed = ["to_jsonb(1.50::numeric(10,4))", "to_jsonb('NaN'::float8)",
        "jsonb_build_object('z', 1, 'a', array[1.0, 2.00])", "to_jsonb(1e300::float8)"]
      for (const cast of computed) {
        for (const value of await store(sql, 'jsonb', ['x'], `${cast} /* $1 */`)) {
          expect(textOf(codec, value.payload), cast).toBe(value.text)
          expect(hexEncode(parseOf(codec, value.text)), cast).toBe(hexEncode(value.payload))
        }
      }
    })
  })
})
