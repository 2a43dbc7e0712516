import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexEncode } from '../../src/common/bytes.ts'
import type { Codec } from '../../src/datum/codec.ts'
import { bitCodec } from '../../src/datum/types/bit.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { cubeCodec } from '../../src/datum/types/cube.ts'
import { hstoreCodec } from '../../src/datum/types/hstore.ts'
import { cidrCodec, inetCodec } from '../../src/datum/types/inet.ts'
import { ltreeCodec } from '../../src/datum/types/ltree.ts'
import { pgSnapshotCodec } from '../../src/datum/types/pgsnapshot.ts'
import { tsqueryCodec } from '../../src/datum/types/tsquery.ts'
import { tsvectorCodec } from '../../src/datum/types/tsvector.ts'
import { ByteWriter } from '../../src/common/bytes.ts'
import { parseOf, textOf } from '../datum/textlaws.ts'
import { majors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { brief, store } from './stored.ts'

const group = fc.constantFrom('0', '0', '0', '1', 'ffff', 'abc', '20', '7f00')
const v6 = fc.tuple(fc.array(group, { minLength: 8, maxLength: 8 }), fc.integer({ min: 0, max: 128 }))
  .map(([groups, bits]) => `${groups.join(':')}/${bits}`)
const v4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, bits]) => `${address}/${bits}`)
const bits = fc.array(fc.constantFrom('0', '1'), { maxLength: 70 }).map((digits) => digits.join(''))

const word = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }).filter((text) => !text.includes('\0'))
const quoted = word.map((text) => `'${text.replaceAll(/['\\]/g, (char) => char + char)}'`)
const positions = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 16383 }), fc.constantFrom('', 'A', 'B', 'C', 'D')), { maxLength: 4 })
const lexeme = fc.tuple(quoted, positions).map(([text, at]) => text + (at.length ? `:${at.map((item) => item.join('')).join(',')}` : ''))
const tsvector = fc.array(lexeme, { maxLength: 12 }).map((items) => items.join(' '))

const operand = fc.tuple(quoted, fc.constantFrom('', '', ':A', ':*', ':*ABCD', ':BD')).map(([text, modifiers]) => text + modifiers)
const tsquery = fc.letrec<{ query: string }>((tie) => ({
  query: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    operand,
    tie('query').map((query) => `!(${query})`),
    fc.tuple(tie('query'), fc.constantFrom('&', '|', '<->', '<3>', '<0>', '<16384>'), tie('query'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    fc.tuple(operand, fc.constantFrom('&', '|', '<->', '<2>'), tie('query')).map(([a, op, b]) => `${a} ${op} ${b}`),
  ),
})).query

const escaped = (text: string) => `"${text.replaceAll(/["\\]/g, (char) => `\\${char}`)}"`
const pair = fc.tuple(word, fc.option(fc.oneof(word, fc.constant(''))))
  .map(([key, value]) => `${escaped(key)}=>${value === null ? 'NULL' : escaped(value)}`)
const hstore = fc.array(pair, { maxLength: 20 }).map((pairs) => pairs.join(', '))
const label = fc.stringMatching(/^[A-Za-z0-9_]{1,20}$/)
const ltree = fc.array(label, { maxLength: 12 }).map((labels) => labels.join('.'))
const float = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 1, 0.1, 1e15, 1e-5))
const corner = (size: number) => fc.array(float, { minLength: size, maxLength: size })
  .map((values) => `(${values.map((value) => (Object.is(value, -0) ? '-0' : value)).join(',')})`)
const cube = fc.integer({ min: 0, max: 5 }).chain((size) => fc.oneof(corner(size), fc.tuple(corner(size), corner(size))
  .map(([a, b]) => `${a},${b}`)))

const U64 = '9223372036854775807'

interface Case {
  type: string
  codec: Codec
  edges: string[]
  values: fc.Arbitrary<string>
  /** The text does not tell the operand order of queries that were not written as they print. */
  ambiguous?: boolean
}

const CASES: Case[] = [
  { type: 'inet', codec: inetCodec, edges: ['0.0.0.0/0', '::', '::1', '::2', '1::', '::ffff:0:0', '::0.0.0.2', '1:0:0:2::',
    '::1:0:0:0:0'], values: fc.oneof(v4, v6) },
  {
    type: 'cidr', codec: cidrCodec, edges: ['0.0.0.0/0', '::/0', '::1', '10/8', '::ffff:1.2.3.4/128', '1.2.3.4'],
    values: fc.ipV4().map((address) => `${address}/32`),
  },
  { type: 'varbit', codec: bitCodec, edges: ['', '0', '1', '1'.repeat(5000)], values: bits },
  { type: 'bit(13)', codec: bitCodec, edges: ['1011001110001'], values: fc.constant('0000000000001') },
  { type: 'pg_snapshot', codec: pgSnapshotCodec, edges: ['1:1:', '10:20:10,14,15', `1:${U64}:5`, `${U64}:${U64}:`],
    values: fc.constant('3:9:4,5') },
  { type: 'txid_snapshot', codec: pgSnapshotCodec, edges: ['10:20:10,14,15'], values: fc.constant('3:9:4,5') },
  {
    type: 'tsvector', codec: tsvectorCodec(undefined),
    edges: ['', 'a', "a:1A,5 fat:2B cat 'it''s':3 'b\\\\'", `'${'x'.repeat(2046)}':1`, Array.from({ length: 300 }, (_,
      i) => `w${i}:${i + 1}`).join(' ')],
    values: tsvector,
  },
  { type: 'tsquery', codec: tsqueryCodec(undefined), edges: ['', 'a', '!!a', "fat & (rat | !cat:*AB) <-> dog <3> 'x'",
    'a <-> (b <-> c)', '(a <-> b) <-> c'], values: tsquery, ambiguous: true },
  { type: 'hstore', codec: hstoreCodec(undefined), edges: ['', 'a=>1, bb=>NULL, c=>"x y"', '""=>""', '"NULL"=>"NULL"'], values: hstore },
  { type: 'ltree', codec: ltreeCodec(undefined), edges: ['', 'Top.Science.Astro', 'a', 'x'.repeat(255)], values: ltree },
  { type: 'cube', codec: cubeCodec, edges: ['()', '(1,2)', '(1,2),(3,4)', '(1),(1)', '(-0)', '(0),(-0)', '(1e308),(-1e-308)',
    '(inf),(-inf)', '(nan)'], values: cube },
]

describe.each(majors())('Postgres %i', (major) => {
  test('text and bytes are the server’s', async () => {
    await withCluster(major, {}, async (_cluster, sql) => {
      for (const extension of ['pageinspect', 'hstore', 'ltree', 'cube']) await sql.exec(`create extension ${extension}`)
      for (const { type, codec, edges, values, ambiguous } of CASES) {
        let exact = 0
        const inputs = [...edges, ...fc.sample(values, { numRuns: 200, seed: TEST_SEED })]
        for (const value of await store(sql, type, inputs)) {
          const message = `${type}, seed ${TEST_SEED}: ${brief(value)}`
          expect(textOf(codec, value.payload), message).toBe(value.text)
          const again = hexEncode(parseOf(codec, value.text))
          if (again === hexEncode(value.payload)) exact++
          else expect(ambiguous, message).toBe(true)
          const column = newVector(codec.column)
          expect(codec.decode(value.payload, 0, value.payload.length, column), message).toBe(true)
          const out = new ByteWriter()
          codec.encode!(column, 0, out)
          expect(hexEncode(out.take()), message).toBe(again)
        }
        expect(exact, type).toBeGreaterThan(inputs.length / 2)
      }
    })
  })
})
