/** House rules for words: phrases that only their writer understands, and documents that are not in this repository. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

/** What to write instead is said with each. */
const PHRASES: readonly [RegExp, string][] = [
  [/\b(?:is|are) none\b/i, 'name the thing that is missing: "without a lock", "no file has it"'],
  [/\banew\b/i, 'say what happens: rewrites, initialises, resets'],
  [/\bcomes? again\b/i, 'say what repeats it'],
  [/\bas (?:it|they) (?:was|were) set\b/i, 'name the setting'],
  [/\bthose of one moment\b/i, 'consistent'],
  [/\bnobody knows\b/i, 'say what is not known'],
  [/\btakes? (?:it|one|the wrong one) away\b/i, 'remove'],
]
/** Documents that a reader of the repository does not have. */
const ELSEWHERE = /\bdesign\.md\b|\bstyle\.md\b|\b(?:heap|WAL) format reference\b|\bspec \d|\bissue \d/i

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'fixtures/README.md']

function filesBelow(folder: string, end: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(end)).map((name) => `${folder}/${name}`)
}

/** Each odd phrase with what follows it, and the advice; a comment's line breaks may lie inside a phrase. */
function oddWords(text: string): string[] {
  const flat = text.replace(/\n\s*(?:\*\/?|\/\/)?\s*/g, ' ')
  return PHRASES.flatMap(([phrase, advice]) => [...flat.matchAll(new RegExp(phrase, 'gi'))].map(({ index }) => `${flat.slice(Math.max(index - 30, 0), index + 30)}: ${advice}`))
}

describe('words', () => {
  test.each([...DOCUMENTS, ...filesBelow('docs', '.md'), ...filesBelow('src', '.ts')])('%s is plain', (name) => {
    expect(oddWords(readFileSync(join(ROOT, name), 'utf8'))).toEqual([])
  })

  test.each([...filesBelow('src', '.ts'), ...filesBelow('test', '.ts'), ...filesBelow('bench', '.ts'), ...filesBelow('fixtures', '.ts')])('%s cites what is here', (name) => {
    if (name !== 'test/tidy/words.test.ts') expect(ELSEWHERE.exec(readFileSync(join(ROOT, name), 'utf8'))?.[0]).toBeUndefined()
  })

  test('a riddle is found, over the lines of a comment too', () => {
    expect(oddWords('/** The lock, if there is none. */')).toHaveLength(1)
    expect(oddWords('  /**\n   * What lies on it comes\n   * again.\n   */')).toHaveLength(1)
    expect(oddWords('// The page is made\n// anew.')).toHaveLength(1)
    expect(oddWords("'the pages are not yet those of one moment'")).toHaveLength(1)
    expect(oddWords('Each record initialises the page.')).toEqual([])
    expect(ELSEWHERE.test('see design.md 3.2')).toBe(true)
    expect(ELSEWHERE.test('docs/formats/tuple.md')).toBe(false)
  })
})
