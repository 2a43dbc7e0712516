/**
 * kill -9 in every phase of replay, transcode and rebuild, many times in each: the next run ends as one that nobody disturbed.
 */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import { changesSince } from '../../src/replay/pagestore/storechanges.ts'
import { DirectoryObjectStore } from '../../src/io/objectstore/directoryobjectstore.ts'
import { summarizeLake } from '../../src/jobs/inspect/lakesummary.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { KilledProgram } from '../support/killedphases.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { readLayeredLake } from '../support/layeredlake.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const KILLS = amount({ sample: 3, all: 25 })

/** Which phase a call belongs to, by its paths; the phase that it begins holds until the next one. */
const PHASES = `(call, path, to) => {
    if (call === 'open' && path.endsWith('/ltap/seeding')) return 'seeding'
    if (call === 'rename' && to.endsWith('/ltap/state') && now === 'seeding') return 'redo'
    if (call === 'open' && path.endsWith('/ltap/journal.new')) return 'journal'
    if (call === 'rename' && to.endsWith('/ltap/journal')) return 'flush'
    if (call === 'unlink' && path.endsWith('/ltap/journal')) return 'redo'
    if (call === 'open' && path.includes('/data/~') && (made.add(path), made.size === 1)) return 'first file'
    if (call === 'open' && path.includes('/data/~') && made.size === 2) return 'further files'
    if (call === 'open' && path.includes('/ltap/parts/~')) return 'commit'
    if (call === 'ftruncate' && verb === 'rebuild') return 'lengths'
    if (call === 'open' && verb === 'rebuild' && !isMainThread && path.includes('/base/')) return 'pages'
    return now
  }`

let root: string
let cluster: PostgresServer
let backup: string
let program: KilledProgram

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-phasekill-'))
  program = new KilledProgram(root, PHASES)
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.script('CREATE TABLE t AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 40000) i; CREATE TABLE other (LIKE t); CHECKPOINT')
  await closeSessions(cluster)
  // A crash: replay has work, and more than its cache holds changes.
  await sqlAndCrash()
  backup = cluster.dataDir
})

async function sqlAndCrash(): Promise<void> {
  const sql = await connect(cluster)
  await sql.script('INSERT INTO other SELECT * FROM t; UPDATE t SET v = v || v WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0')
  await closeSessions(cluster)
  await cluster.kill()
}

afterAll(async () => {
  await cluster?.remove()
  rmSync(root, { recursive: true, force: true })
})

const run = async (...given: Parameters<KilledProgram['run']>): Promise<'killed' | number> => (await program.run(...given)).code

/** Of every file its hash. How often a page store was flushed differs after a kill: of its list of flushes the answer to what changed since the seed. */
async function content(folder: string): Promise<Map<string, string>> {
  if (existsSync(join(folder, 'ltap/format.json'))) return await contentOfLake(folder)
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  const hash = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
  const files = new Map(names.sort().map((name) => [name, hash(readFileSync(join(folder, name)))]))
  if (!files.has('ltap/events.ndjson')) return files
  const { eventsLength: _, ...state } = JSON.parse(readFileSync(join(folder, 'ltap/state'), 'utf8').split('\n')[0]!) as { eventsLength: number; lsn: string }
  const events = readFileSync(join(folder, 'ltap/events.ndjson'))
  const first = events.toString().split('\n').find((line) => line.includes('"event":"flush"'))!
  const [from, to] = [(JSON.parse(first) as { from: string }).from, state.lsn].map((text) => walPosition(parseLsn(text)!)) as [number, number]
  return files.set('ltap/state', JSON.stringify(state)).set('ltap/events.ndjson', hash(JSON.stringify(changesSince(events, from, to))))
}

const UNFINISHED_LOCK = /^~ltap-lock\.[0-9a-f-]{36}$/

/** Pages and visible rows of each relation: names of objects are new in each lake. Nothing else lies there. */
async function contentOfLake(folder: string): Promise<Map<string, string>> {
  const relations = await readLayeredLake(new DirectoryObjectStore(folder))
  expect(await run(['verify', '--lake', folder, '--workers', '1']), 'verify').toBe(0)
  expect((await summarizeLake(folder)).store).toMatchObject({ missing: [], damaged: [] })
  // A process that was killed while it wrote its lock leaves an empty one: it counts for nothing, and who locks a minute later removes it.
  const isLeft = (name: string): boolean => name.includes('~') && !(UNFINISHED_LOCK.test(name) && statSync(join(folder, name)).size === 0)
  // What a process put or drafted that was killed behind its commit, while it published, goes with the next gc.
  expect(await run(['gc', folder]), 'gc').toBe(0)
  expect((await summarizeLake(folder)).store).toMatchObject({ orphans: { objects: 0 }, missing: [], damaged: [] })
  expect(readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(isLeft)).toEqual([])
  return new Map([...relations].map(([key, { name, length, blocks }]) => [key, JSON.stringify([name, length, [...blocks]])]))
}

interface Work {
  verb: string
  /** @param out a folder of this run */
  args: (out: string) => string[]
  prepare?: (out: string) => void
  phases: readonly string[]
}

const heapLake = (): string => join(root, 'heaplake')
const rebuildSource = (): string => join(root, 'replayed-source')
const WORKS: readonly Work[] = [
  { verb: 'replay', args: (out) => ['replay', backup, '--out', out], phases: ['seeding', 'redo', 'journal', 'flush'] },
  { verb: 'transcode', args: (out) => ['transcode', rebuildSource(), '--lake', out, '--workers', '1', '--database', 'postgres'], phases: ['start', 'first file', 'further files', 'commit'] },
  {
    verb: 'rebuild', args: (out) => ['rebuild', '--lake', heapLake(), '--pgdata', out, '--workers', '1'], phases: ['lengths', 'pages'],
    prepare: (out) => cpSync(rebuildSource(), out, { recursive: true }),
  },
]

test.each(WORKS)(`$verb, seed ${TEST_SEED}`, async ({ verb, args, prepare, phases }) => {
  if (verb !== 'replay' && !existsSync(rebuildSource())) {
    // A clean directory, as transcode and rebuild want one.
    await cluster.start()
    await cluster.stop()
    cpSync(cluster.dataDir, rebuildSource(), { recursive: true })
    expect(await run(['transcode', rebuildSource(), '--lake', heapLake()])).toBe(0)
  }
  const random = new Random(TEST_SEED)
  const whole = join(root, `${verb}-whole`)
  prepare?.(whole)
  const calls = await program.callsOf(args(whole))
  const expected = await content(whole)
  const hits = new Map(phases.map((phase) => [phase, 0]))
  for (const phase of phases) {
    expect(calls.get(phase) ?? 0, `${phase} of ${[...calls].join('; ')}`).toBeGreaterThan(0)
    for (let kill = 0; kill < KILLS; kill++) {
      const out = join(root, `${verb}-killed`)
      prepare?.(out)
      const ended = await run(args(out), { phase, at: random.int(calls.get(phase)!) })
      if (ended === 'killed') hits.set(phase, hits.get(phase)! + 1)
      if (ended !== 0) expect(await run(args(out)), `after a kill in ${phase}`).toBe(0)
      const found = await content(out)
      expect([...expected].filter(([name, hash]) => found.get(name) !== hash).map(([name]) => name), phase).toEqual([])
      expect([...found.keys()]).toEqual([...expected.keys()])
      rmSync(out, { recursive: true })
    }
  }
  console.info(`${verb}: ${[...hits].map(([phase, count]) => `${count} kills in ${phase} (${calls.get(phase)} calls)`).join(', ')}`)
  for (const [phase, count] of hits) expect(count, phase).toBeGreaterThan(0)
})
