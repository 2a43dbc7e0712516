/** A path with a scheme is no local folder: every verb refuses it before it writes anything. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { readManifest } from '../../src/jobs/lake.ts'
import { transcodeLake } from '../../src/jobs/transcodelake.ts'
import { ltap } from './streams.ts'

const URL = 's3://bucket/x'

/** Every folder and file a verb takes, `@` in its place, with what else the verb needs. */
const PLACES = [
  'transcode @ --lake l', 'transcode p --lake l --wal @', 'transcode p --lake l --work @', 'transcode p --lake l --wal w --to latest --cache @',
  'work --source @',
  'verify @ --lake l', 'verify p --lake l --wal @', 'verify p --lake l --work @',
  'rebuild --lake l --pgdata @',
  'restore --lake l --out @', 'restore --lake l --out o --postgres @', 'restore --lake l --out o --to latest --wal @',
  'replay @ --out o', 'replay p --out @', 'replay p --out o --wal @',
  'inspect page @', 'inspect control @', 'inspect relations @', 'inspect wal @',
  'inspect table @ public.t', 'inspect table p public.t --wal @', 'inspect table p public.t --work @',
  'inspect history @ public.t', 'inspect history p public.t --wal @', 'inspect history p public.t --work @',
  'inspect file @ --columns id\tint', 'inspect file p --columns id\tint --toast @',
  'inspect lake p --html @',
  'demo --lake @', 'catalog --lake l --token-file @', 'publish p --registration @',
]

test('every verb, every folder', async () => {
  const home = process.cwd()
  const folder = mkdtempSync(join(tmpdir(), 'ltap-schemes-'))
  try {
    process.chdir(folder)
    for (const place of PLACES) {
      const ran = await ltap(place.split(' ').map((word) => (word === '@' ? URL : word)))
      const stderr = 'ltap: path.scheme: s3:// is not taken here; name a local folder (./s3://… if one is called so) (file s3://bucket/x)\n'
      expect({ place, ...ran }).toEqual({ place, code: 3, stdout: '', stderr })
    }
    const options = { pgdata: 'p', lake: URL, workers: 0, compression: 'zstd', profile: 'portable', onCorrupt: 'fail' } as const
    await expect(transcodeLake(options)).rejects.toThrow()
    await expect(replayCluster({ source: 'p', out: URL })).rejects.toThrow(/path.scheme/)
    expect(() => readManifest('HTTPS://x')).toThrow(/path.scheme: HTTPS:\/\/ is not supported; name a local folder .*, or s3:\/\/bucket\/prefix for a lake/)
    expect(() => readManifest('file:///tmp')).toThrow(/path.scheme: file:\/\/ is not taken here; write the path alone/)
    expect(readdirSync('.')).toEqual([])
  } finally {
    process.chdir(home)
    rmSync(folder, { recursive: true })
  }
})

test('a new verb or option that takes a folder is in the list above', async () => {
  const found: string[] = []
  const visit = async (words: string[]): Promise<void> => {
    const { stdout } = await ltap([...words, '--help'])
    const own = /^ {2}(\w+)(?= .*$)/gm
    const commands = /\nCommands:\n([\s\S]*?)(?:\n\n|$)/.exec(stdout)?.[1] ?? ''
    for (const [, name] of commands.matchAll(own)) if (name !== 'help') await visit([...words, name!])
    for (const [, option] of stdout.matchAll(/^ {2}(--[\w-]+) <(?:dir|file|path|folder)>/gm)) found.push(`${words.join(' ')} ${option}`)
  }
  await visit([])
  expect(found.length).toBeGreaterThan(10)
  // The URL of an object store.
  for (const option of found.filter((name) => name !== 'transcode --lake')) {
    const [, verb, name] = /^(.*) (--\S+)$/.exec(option)!
    expect(PLACES.some((place) => place.startsWith(`${verb} `) && place.includes(`${name} @`)), option).toBe(true)
  }
})
