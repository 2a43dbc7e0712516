/** Uploads that never ended: gc removes those that nobody goes on with, and no others. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { BranchWriter, collectGarbage, createBranch, deleteBranch, Lake, type LakePorts, MemoryObjectStore, type ObjectStore } from '../../src/engine/index.ts'
import { DirectoryObjectStore } from '../../src/io/objectstore/directoryobjectstore.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'

const root = mkdtempSync(join(tmpdir(), 'ltap-leftovers-'))
afterAll(() => rmSync(root, { recursive: true }))

const AGE = 1000
const portsOf = (store: ObjectStore, now: () => number): LakePorts =>
  ({ store, random: systemRandom, clock: { now, sleep: () => Promise.resolve() } })
const format = { systemIdentifier: '7', profile: 'portable', cas: 'if-none-match' } as const

async function keysLeft(store: ObjectStore): Promise<(string | undefined)[]> {
  const keys = []
  for await (const { key } of store.leftovers()) keys.push(key)
  return keys
}

test('an upload is given up by its name: of a past epoch, below low, of a branch that is gone; or when it is old', async () => {
  let now = 0
  const store = new MemoryObjectStore({ now: () => now })
  const lake = await Lake.create(portsOf(store, () => now), format)
  const begin = async (key: string): Promise<string> => {
    await store.upload(key).write(new Uint8Array(9))
    return key
  }
  const named = (writer: BranchWriter): string => `t/data/${writer.begin().name()}.parquet`
  const past = await BranchWriter.open(lake, 'main')
  await begin(named(past))
  const writer = await BranchWriter.open(lake, 'main')
  const inWork = await begin(named(writer))
  const work = writer.begin()
  await begin(`t/data/${work.name()}.parquet`)
  const other = await BranchWriter.open(lake, (await createBranch(lake, 'main', 'b', 'newest')).branch.name)
  const onBranch = await begin(named(other))
  const foreign = await begin('somebody/elses')
  await writer.commit({ reads: [], apply: () => ({ edits: [], published: writer.head.state.lsn }) }, work)

  expect(await collectGarbage(lake, true, AGE)).toMatchObject({ leftovers: 1 })
  expect(await keysLeft(store)).toHaveLength(5)
  expect(await collectGarbage(lake, false, AGE)).toMatchObject({ leftovers: 1 })
  await deleteBranch(lake, 'main', 'b')
  expect(await collectGarbage(lake, false, AGE)).toMatchObject({ leftovers: 1 })
  expect(await keysLeft(store)).not.toContain(onBranch)
  expect(await keysLeft(store)).toContain(inWork)
  now = AGE + 1
  await collectGarbage(lake, false, AGE)
  expect(await keysLeft(store)).toEqual([foreign])
})

test('a folder: drafts of processes that ended go, those of this one stay, those of another machine when they are old', async () => {
  const folder = join(root, 'lake')
  const store = new DirectoryObjectStore(folder)
  const lake = await Lake.create(portsOf(store, Date.now), format)
  const upload = store.upload('t/data/mine')
  await upload.write(new Uint8Array(10))
  const [own] = readdirSync(join(folder, 't/data'))
  const [, , start, place, nonce] = /^~(\d+)-(\d+)-([0-9a-f]{16})-([0-9a-z]{20})$/.exec(own!)!
  const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e6)'])
  const childStart = readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[19]
  mkdirSync(join(folder, 'u'))
  const plant = (name: string): void => writeFileSync(join(folder, 'u', name), 'x')
  const living = `~${child.pid}-${childStart}-${place}-${nonce}`
  const again = `~${process.pid}-${Number(start) - 1}-${place}-${nonce}`
  const elsewhere = `~${child.pid}-${childStart}-${'0'.repeat(16)}-${nonce}`
  const older = `~${nonce}`
  for (const name of [living, again, elsewhere, older, '~notes', 'object']) plant(name)
  const left = (): string[] => readdirSync(join(folder, 'u')).sort()

  await collectGarbage(lake, true)
  expect(left()).toHaveLength(6)
  await collectGarbage(lake)
  expect(left()).toEqual([living, elsewhere, older, '~notes', 'object'].sort())
  child.kill('SIGKILL')
  await once(child, 'exit')
  await collectGarbage(lake)
  expect(left()).toEqual([elsewhere, older, '~notes', 'object'].sort())
  for (const name of left()) utimesSync(join(folder, 'u', name), 1, 1)
  await collectGarbage(lake)
  expect(left()).toEqual(['object', '~notes'])
  await upload.finish()
  expect(readdirSync(join(folder, 't/data'))).toEqual(['mine'])
})
