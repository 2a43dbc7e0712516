/** rebuild writes into its data directory and nowhere else, and not at all before everything is checked. */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, linkSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { openPageStore } from '../../src/io/pagestore/openstore.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { transcode } from '../support/lakes.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'

let root: string
let cluster: PostgresServer
let lake: string
let manifest: Manifest
let table: LakeRelation

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-rebuildtarget-'))
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.exec('CREATE TABLE t AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 20000) i')
  await closeSessions(cluster)
  await cluster.stop()
  lake = join(root, 'lake')
  manifest = await transcode(cluster.dataDir, lake)
  table = manifest.relations.find(({ name }) => name === 't')!
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(root, { recursive: true, force: true })
})

/** A copy whose heap files are all other than the lake's; it and what is beside it must stay so. */
function copyOf(): { place: string; copy: string; changed: () => string[] } {
  const place = mkdtempSync(join(root, 'case-'))
  const copy = join(place, 'copy')
  cpSync(cluster.dataDir, copy, { recursive: true })
  for (const { path } of manifest.relations) if (path !== '') writeFileSync(join(copy, path), 'not yet rebuilt')
  let before: Map<string, string> | undefined
  const changed = (): string[] => {
    const now = hashes(place)
    before ??= now
    return [...new Set([...now.keys(), ...before.keys()])].filter((name) => now.get(name) !== before!.get(name))
  }
  return { place, copy, changed }
}

function hashes(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.map((name) => [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]))
}

const rebuild = (pgdata: string, from = lake, force = false): Promise<unknown> => rebuildLake({ lake: from, pgdata, force, workers: 0 })

/** Puts `path` outside and a symbolic link where it was. */
function linkOut(place: string, copy: string, path: string): void {
  const outside = join(place, 'outside')
  renameSync(join(copy, path), outside)
  symlinkSync(outside, join(copy, path))
}

describe('a symbolic link below the copy', () => {
  test.each([
    ['the folder of all databases', () => 'base'],
    ['the folder of one', () => dirname(table.path)],
    ['the shared catalogs', () => 'global'],
    ['a relation', () => table.path],
  ])('%s', async (_what, path) => {
    const { place, copy, changed } = copyOf()
    linkOut(place, copy, path())
    changed()
    await expect(rebuild(copy)).rejects.toThrow(/^file.link: a symbolic link, and ltap does not write through links; .*; nothing was overwritten \(file /)
    expect(changed()).toEqual([])
  })

  test('a further segment', async () => {
    const { place, copy, changed } = copyOf()
    writeFileSync(join(place, 'outside'), 'mine')
    symlinkSync(join(place, 'outside'), join(copy, `${table.path}.1`))
    changed()
    await expect(rebuild(copy)).rejects.toThrow(/^file.link: .*nothing was overwritten/)
    expect(changed()).toEqual([])
  })
})

test('a file that has another name too, as cp -al makes it: only with --force', async () => {
  const { place, copy, changed } = copyOf()
  linkSync(join(copy, table.path), join(place, 'other'))
  changed()
  await expect(rebuild(copy)).rejects.toThrow(/^rebuild.hard-link: the file has other names .*; nothing was overwritten/)
  expect(changed()).toEqual([])
  await rebuild(copy, lake, true)
  expect(changed()).toContain('other')
  expect(readFileSync(join(copy, table.path)).length).toBe(table.forks.main! * 8192)
})

describe('a lake that is not as it was written', () => {
  function otherLake(place: string, change: (relation: LakeRelation, lake: string) => void): string {
    const other = join(place, 'lake')
    cpSync(lake, other, { recursive: true })
    const copy = structuredClone(manifest)
    change(copy.relations.find(({ name }) => name === 't')!, other)
    writeFileSync(join(other, 'ltap.json'), JSON.stringify(copy))
    return other
  }

  test.each<[string, (relation: LakeRelation, lake: string) => void, RegExp]>([
    ['a length that no file bears out', (relation) => (relation.forks.main = 600_000), /^lake.manifest: .*forks.main is 600000, but the files end at block \d+/],
    ['a length that files are said to have', (relation) => {
      relation.forks.main = 600_000
      Object.assign(relation.files[0]!, { blockCount: 600_000 })
    }, /^lake.other-file: .*blocks is \d+, the lake says 600000/],
    ['a file that is missing in the list', (relation) => Object.assign(relation, { files: [] }), /^lake.manifest: .*forks.main is \d+, but/],
    ['a flipped bit', ({ files }, folder) => flip(join(folder, files[0]!.path)), /^lake.file-crc: the file is not as it was written/],
    ['a file that is cut', ({ files }, folder) => cut(join(folder, files[0]!.path)), /^lake.file: the file has \d+ bytes, ltap.json says \d+/],
    ['a file that is gone', ({ files }, folder) => rmSync(join(folder, files[0]!.path)), /^lake.file: the file is missing/],
  ])('%s', async (_what, change, message) => {
    const { place, copy, changed } = copyOf()
    const other = otherLake(place, change)
    changed()
    const error: Error = await rebuild(copy, other).then(() => new Error('no error'), (thrown: Error) => thrown)
    expect(error.message).toMatch(message)
    // A file that is no manifest is refused before anything begins.
    if (!error.message.startsWith('lake.manifest')) expect(error.message).toContain('; nothing was overwritten')
    expect(changed()).toEqual([])
  })
})

test('what is whole is rebuilt, and the lock goes', async () => {
  const { copy } = copyOf()
  await rebuild(copy)
  for (const { path, forks } of manifest.relations) if (path !== '') expect(statSync(join(copy, path)).size).toBe((forks.main ?? 0) * 8192)
  expect(existsSync(join(copy, '.ltap-lock'))).toBe(false)
})

test('a page store with a link in it is not written', async () => {
  const place = mkdtempSync(join(root, 'case-'))
  const out = join(place, 'out')
  await replayCluster({ source: cluster.dataDir, out })
  linkOut(place, out, dirname(table.path))
  const store = openPageStore(out)
  expect(() => store.fork(1663, table.dbOid, table.relNumber, 0)!.page(0)).toThrow(/file.link: a symbolic link/)
  store.close()
  renameSync(join(out, 'ltap'), join(place, 'ltap'))
  symlinkSync(join(place, 'ltap'), join(out, 'ltap'))
  expect(() => openPageStore(out)).toThrow(/file.link/)
})

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[100]! ^= 1
  writeFileSync(path, bytes)
}

function cut(path: string): void {
  writeFileSync(path, readFileSync(path).subarray(0, -1))
}
