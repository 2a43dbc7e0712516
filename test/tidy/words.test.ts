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
  [/\bthose of one (?:moment|LSN)\b/i, 'consistent; belong to one LSN'],
  [/\bnobody knows\b/i, 'say what is not known'],
  [/\btakes? (?:it|one|the wrong one) away\b/i, 'remove'],
  [/\bnormal life\b/i, 'normal'],
  [/\b(?:record|page|block) at hand\b/i, 'the record that is being applied'],
  [/\b(?:is|are) not to be had\b/i, 'cannot be read'],
  [/\bwhose turn\b/i, 'say which comes next'],
  [/\b(?:is|are) a matter of\b/i, 'say what depends on what'],
  [/\bcomes? to be\b/i, 'say what creates it'],
  [/(?:'s|s') business\b/i, 'say what decides, or does, it'],
  [/\bwhat is not one\b/i, 'name the thing'],
  [/\bthere while\b/i, 'say what happens in the meantime'],
]
/** Phrases without a subject. Tests may have them. */
const SUBJECTS: readonly [RegExp, string][] = [
  [/\bwhoever\b/i, 'name the caller, the writer or the user'],
  [/(?:^|[.:;,(] )who (?:has|needs|reads|makes|forges|decodes|asks|imports|waits|recovers)\b/i, 'name the subject: "a caller that needs"'],
  [/\b(?:some|any)body\b/i, 'name the reader, the user, the writer'],
  [/\bnobody (?:but|can|deletes|else|flushes|has|made|may|needs|reads|sees|uses|who|will|writes)\b/i, 'name the reader, the user, the writer: "no reader may see"'],
  [/(?<!not to )\bbe had\b/i, 'cannot be read'],
  [/\/\*\* Of\b/, 'begin with what the declaration is: "Number of …", "The path of …"'],
]
const READ_FOR_SUBJECTS = /\.md$|^src\//

/** Documents that a reader of the repository does not have. */
const ELSEWHERE = /\bdesign\.md\b|\bstyle\.md\b|\b(?:heap|WAL) format reference\b|\bspec \d|\bissue \d/i

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'fixtures/README.md']

function filesBelow(folder: string, end: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(end)).map((name) => `${folder}/${name}`)
}

/** Each odd phrase with what follows it, and the advice; a comment's line breaks may lie inside a phrase. */
function oddWords(text: string, phrases: readonly [RegExp, string][] = PHRASES): string[] {
  const flat = text.replace(/\n\s*(?:\*\/?|\/\/)?\s*/g, ' ')
  return phrases.flatMap(([phrase, advice]) => [...flat.matchAll(new RegExp(phrase, 'gi'))].map(({ index }) => `${flat.slice(Math.max(index - 30, 0), index + 30)}: ${advice}`))
}

describe('words', () => {
  const sources = ['src', 'test', 'bench', 'fixtures'].flatMap((folder) => filesBelow(folder, '.ts'))
    .filter((name) => name !== 'test/tidy/words.test.ts')

  test.each([...DOCUMENTS, ...filesBelow('docs', '.md'), ...sources])('%s is plain', (name) => {
    expect(oddWords(readFileSync(join(ROOT, name), 'utf8'), READ_FOR_SUBJECTS.test(name) ? [...PHRASES, ...SUBJECTS] : PHRASES)).toEqual([])
  })

  test.each(sources)('%s cites what is here', (name) => {
    expect(ELSEWHERE.exec(readFileSync(join(ROOT, name), 'utf8'))?.[0]).toBeUndefined()
  })

  test('a riddle is found, over the lines of a comment too', () => {
    expect(oddWords('/** The lock, if there is none. */')).toHaveLength(1)
    expect(oddWords('  /**\n   * What lies on it comes\n   * again.\n   */')).toHaveLength(1)
    expect(oddWords('// The page is made\n// anew.')).toHaveLength(1)
    expect(oddWords("'the pages are not yet those of one moment'")).toHaveLength(1)
    const riddles = [
      '/** The folder, for whoever asks. */', '// An LSN may have any value: who needs it below 2^53 says so.',
      '// That is normal life for a dead tuple.',
      '/** End of the record at hand. */', '/** A datum whose payload is not to be had. */', '/** Whose turn it is to make a page. */',
      '/** Damage is a matter of the copy. */', '/** The page comes to be with its first xid. */', "// What is durable is the store's business.",
      '/** A map, or what is not one. */', '/** The file was there while it was read. */', '/** The pages are\n * those of one\n * LSN. */',
    ]
    riddles.push('/** Of both. */', '/**\n * Of the first file.\n */', '/** Rows that nobody may see. */', '/** The SQL, of anybody. */', '// a value that cannot be had')
    for (const riddle of riddles) expect(oddWords(riddle, [...PHRASES, ...SUBJECTS]), riddle).toHaveLength(1)
    expect(oddWords('Each record initialises the page.')).toEqual([])
    expect(ELSEWHERE.test('see design.md 3.2')).toBe(true)
    expect(ELSEWHERE.test('docs/formats/tuple.md')).toBe(false)
  })
})
