/** Arguments of verbs that read a lake, wrong ones: a text that means nothing is a usage error, a name that no branch may have is one clear line. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lake } from '../../src/engine/lake.ts'
import { DirectoryObjectStore } from '../../src/io/objectstore/directoryobjectstore.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { ltap } from './streams.ts'

const root = mkdtempSync(join(tmpdir(), 'ltap-arguments-'))
const LAKE = join(root, 'lake')
afterAll(() => rmSync(root, { recursive: true }))

beforeAll(async () => {
  const ports = { store: new DirectoryObjectStore(LAKE), random: systemRandom, clock: { now: Date.now, sleep: () => Promise.resolve() } }
  await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-none-match' })
})

const BRANCHED = [
  'query --lake @ SELECT', 'inspect lake @', 'gc @', 'tag create @ x', 'tag list @', 'tag delete @ x', 'lease create @ x', 'lease list @', 'lease delete @ x',
  'merge @', 'merge @ --all', 'restore --lake @ --out o', 'verify --lake @',
]
const words = (line: string): string[] => line.split(' ').map((word) => (word === '@' ? LAKE : word))

test.each(BRANCHED.flatMap((verb) => ['../../x', 'A', '', 'none'].map((name): [string, string] => [verb, name])))('%s --branch %j', async (verb, name) => {
  const { code, stdout, stderr } = await ltap([...words(verb), '--branch', name])
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
  const line = name === 'none' ? /^ltap: lake\.no-branch: [^\n]* has no branch none[^\n]*\n$/ : /^ltap: lake\.name: "[^\n]*" is no name: use \[a-z0-9_-\][^\n]*\n$/
  expect(stderr).toMatch(line)
})

test('branch create --from', async () => {
  expect(await ltap(['branch', 'create', LAKE, 'x', '--from', '../../x'])).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: lake\.name: "\.\.\/\.\.\/x" is no name/) as unknown })
})

test.each<[string, string, string]>([
  ...['-5d', 'soon', '', '5', '30x', '1/2/3'].flatMap((text): [string, string, string][] => [['gc @ --keep', text, 'is no duration'], ['gc @ --erasure', text, 'is no duration']]),
  ...['-1h', 'a while', '', '0'].map((text): [string, string, string] => ['lease create @ x --for', text, 'is no duration']),
  ...['0s', '0 d', '000w'].map((text): [string, string, string] => ['lease create @ x --for', text, 'is over at once']),
  ...['query --lake @ SELECT --at', 'branch create @ x --at', 'tag create @ x --at', 'lease create @ x --at', 'restore --lake @ --out o --to'].flatMap((verb) =>
    ['', 'A B', '../x', '1/2/3'].map((text): [string, string, string] => [verb, text, 'a tag, an LSN'])),
])('%s %j is a usage error', async (verb, text, message) => {
  const { code, stdout, stderr } = await ltap([...words(verb), text])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^ltap: option '--\w+ <\w+>' argument '.*' is invalid: [^\n]*\n/)
  expect(stderr).toContain(message)
})
