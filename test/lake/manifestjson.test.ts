import { describe, expect, test } from 'vitest'
import { utf8Decode, utf8Encode } from '../../src/common/utf8.ts'
import { formatManifest, RELATIONS_ELSEWHERE, splitManifest } from '../../src/lake/manifestjson.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const NASTY = 'a"b\\"],[{}\u2028\n "relations": [] é'
const RELATION = { name: NASTY, parents: [1, 2], files: [{ path: 'x', hidden: null, damaged: [] }], 'relations': [{ relations: [] }] }
const manifest = (relations: object[]): { relations: object[] } & Record<string, unknown> =>
  ({ format: 1, source: NASTY, databases: [{ name: NASTY, relations: [3] }], relations, orphans: [NASTY], damage: undefined })

describe('formatManifest', () => {
  test.each([0, 1, 2, 5])('%i relations: as JSON.stringify has it', (count) => {
    const value = manifest(Array.from({ length: count }, () => RELATION))
    expect([...formatManifest(value)].join('')).toBe(`${JSON.stringify(value, undefined, 1)}\n`)
  })
})

/** What JSON.parse would give; undefined where there are no pieces, an error where one is no JSON. */
function joined(json: Uint8Array): unknown {
  const pieces = splitManifest(json)
  if (!pieces) return undefined
  const rest = JSON.parse(utf8Decode(pieces.rest)) as Record<string, unknown>
  const relations = [...pieces.elements].map((element) => JSON.parse(utf8Decode(element)) as unknown)
  return rest['relations'] === RELATIONS_ELSEWHERE ? { ...rest, relations } : undefined
}

function orError(body: () => unknown): unknown {
  try {
    return body()
  } catch {
    return 'an error'
  }
}

describe('splitManifest', () => {
  test.each([0, 1, 2, 5].flatMap((count) => [undefined, 1].map((indent) => ({ count, indent }))))('$count relations, indent $indent', ({ count, indent }) => {
    const value = JSON.parse(JSON.stringify(manifest(Array.from({ length: count }, () => RELATION)))) as unknown
    expect(joined(utf8Encode(JSON.stringify(value, undefined, indent)))).toEqual(value)
  })

  test.each([
    '{"relations":[1,]}', '{"relations":[,1]}', '{"relations":[1 2]}', '{"relations":[{]}]}', '{"relations":[1]]}', '{"relations":[1]}}', '{"relations":[1]',
    '{"relations":[1}', '{"relations":[1}}', '{"relations" 1,"a":[]}', '["relations":[1]]',
  ])('no JSON stays none: %s', (json) => {
    expect(() => JSON.parse(json) as unknown).toThrow()
    expect(orError(() => joined(utf8Encode(json)) ?? 'an error')).toBe('an error')
  })

  test('the list of the outermost object alone, and no pieces where it is not sure', () => {
    expect(joined(utf8Encode('{"a":{"relations":[1]},"b":["relations",[2]],"relations" : [ 3 , 4 ] }')))
      .toEqual({ a: { relations: [1] }, b: ['relations', [2]], relations: [3, 4] })
    for (const json of ['{"relations":{}}', '{"a":1}', '[]', '"relations"', '', '{"relations":[1],"relations":[2]}', '{"relations":[1],"relation\\u0073":[2]}']) {
      expect(joined(utf8Encode(json)), json).toBeUndefined()
    }
  })

  test('bytes changed anywhere: what JSON.parse says', () => {
    const random = new Random(TEST_SEED)
    const original = utf8Encode(JSON.stringify(manifest([RELATION, RELATION]), undefined, 1))
    const letters = utf8Encode('"\\[]{},: 0a\n')
    let pieced = 0
    for (let i = 0; i < amount({ quick: 5000, sample: 5000, all: 200_000 }); i++) {
      const json = original.slice()
      for (let n = random.int(3); n >= 0; n--) json[random.int(json.length)] = letters[random.int(letters.length)]!
      const expected = orError(() => JSON.parse(utf8Decode(json)) as unknown)
      const found = orError(() => joined(json))
      if (found === undefined) continue
      pieced++
      expect(found, Buffer.from(json).toString('latin1')).toEqual(expected)
    }
    expect(pieced).toBeGreaterThan(1000)
  })
})
