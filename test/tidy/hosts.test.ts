/** House rule: what is in the repository holds on every machine. No file names a host to install from, or a place of the machine it was made on. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

/** Not of the repository: see .gitignore. npm writes package-lock.json. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'coverage', '.tmp', 'package-lock.json'])

/** Hosts that a file may name: pages for people to read, and names that are no host's. None that a program gets something from. */
const HOSTS = /^(?:www\.w3\.org|www\.apache\.org|www\.postgresql\.org|parquet\.apache\.org|iceberg\.apache\.org|datatracker\.ietf\.org|github\.com|(?:[a-z0-9-]+\.)*example(?:\.com|\.org|\.net)?|localhost|host|[a-z])$/
/** A host of a registry or mirror, without an address around it. */
const REGISTRY = /\b(?:registry|mirrors?|proxy|deb|security|archive|pypi|index|files|static|snapshot)\.[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:org|com|net|io|dev|cloud|internal|local)\b/gi
/** Homes, and folders at the root that not every system has. */
const PLACE = /(?<![\w.~)}\]*-])\/(?:root|home\/[a-z_][\w-]*|Users\/\w+|work|workspace|mnt|scratch|github)\/[\w.]/g

function problems(text: string): string[] {
  const hosts = [...text.matchAll(/\b(?:https?|ftp):\/\/(?:[^/\s@'"`]+@)?([a-z0-9][a-z0-9.-]*)/gi)].map(([, host]) => host!.replace(/\.$/, '').toLowerCase())
  return [
    ...hosts.filter((host) => !HOSTS.test(host)).map((host) => `names the host ${host}`),
    ...[...text.matchAll(REGISTRY)].map(([host]) => `names the registry ${host}`),
    ...[...text.matchAll(PLACE)].map(([place], i) => `names a place of one machine: ${place}… (${i + 1})`),
  ]
}

function* textFiles(folder: string): Iterable<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (LEFT_OUT.has(entry.name) || entry.name.endsWith('.tgz') || entry.isSymbolicLink()) continue
    if (entry.isDirectory()) yield* textFiles(path)
    else if (lstatSync(join(ROOT, path)).isFile()) yield path
  }
}

test('no file names a registry host or a path of one machine', () => {
  const files = [...textFiles('')]
  expect(files).toContain('package.json')
  expect(files).toContain(join('.ci', 'run'))
  const found = files.filter((path) => path !== join('test', 'tidy', 'hosts.test.ts')).flatMap((path) => {
    const bytes = readFileSync(join(ROOT, path))
    return bytes.includes(0) ? [] : problems(bytes.toString()).map((problem) => `${path} ${problem}`)
  })
  expect(found).toEqual([])
})

test.each([
  'const base = `http://deb.distribution.test/${archive}`', 'npm config set registry https://registry.packages.dev', 'https://me:secret@mirror.corp.example.internal/npm',
  'pip install --index-url https://packages.test/simple', 'curl http://10.0.0.7:8080/x', 'HOST=registry.modules.dev', 'cd /root/checkout', "import '/home/someone/x.ts'",
  'cp /work/checkout/x', '"/Users/me/ltap"', 'TMPDIR=/mnt/scratch/tmp',
])('a planted fault is found: %s', (text) => expect(problems(text)).not.toEqual([]))

test.each([
  'http://www.apache.org/licenses/', 'https://user@db.example.com/x', './work/checkout', '${LTAP_CONFORMANCE:-$HOME/.cache/ltap}', '/var/lib/postgresql/17/main', 'join(out, /work/)',
  '--lake /tmp/demo-lake', 'a/home/page', 'src/work/x',
])('fine: %s', (text) => expect(problems(text)).toEqual([]))
