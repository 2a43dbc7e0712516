import { describe, expect, test } from 'vitest'
import { relationFolder } from '../../src/lake/manifest.ts'

describe('folder of a relation', () => {
  const relation = { database: 'd', schema: 's', name: 't', relNumber: 16384 }

  test('has other characters escaped', () => {
    expect(relationFolder({ ...relation, schema: 'a b', name: "é.'~" })).toBe('data/d/a%20b.%C3%A9%2E%27%7E-16384')
    expect(relationFolder({ ...relation, database: null })).toBe('data/%global/s.t-16384')
  })

  test('has a name that file systems take, cut between characters', () => {
    for (let letters = 0; letters < 6; letters++) {
      const name = 'x'.repeat(letters) + 'é'.repeat(28)
      const folder = relationFolder({ ...relation, schema: name, name, relNumber: 4294967295 }).split('/')[2]!
      expect(folder.length).toBeLessThanOrEqual(255)
      expect(folder).toMatch(/^(?:[A-Za-z0-9_.]|%[0-9A-F]{2})+-4294967295$/)
    }
  })
})
