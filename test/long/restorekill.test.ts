/**
 * kill -9 of `ltap restore`, in every phase and while a server rebuilds indexes: the next run refuses with one line, or ends as one that nobody disturbed;
 * the lake is as it was.
 */
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findPostgres } from '../../src/server/postgres.ts'
import { KilledProgram } from '../support/killedphases.ts'
import { withAdopted, withCluster, majors } from '../support/oracle.ts'
import { pgDump } from '../support/pgdump.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amcheck } from '../support/restorecheck.ts'
import { amount } from '../support/scope.ts'

const KILLS = amount({ sample: 1, all: 20 })
const major = Math.max(...majors())

const PHASES = `(call, path, to) => {
  if (now === 'start' && call === 'open' && path.includes('/ltap-restore/lock')) return 'files'
  if (now === 'files' && call === 'ftruncate') return 'heaps'
  if (now === 'heaps' && call === 'open' && path.endsWith('.history')) return 'timeline'
  if (now === 'timeline' && call === 'fsync') return 'sync'
  if (now === 'sync' && call === 'rm') return 'end'
  return now
}`
const PHASE_NAMES = ['start', 'files', 'heaps', 'timeline', 'sync', 'end']
/** The name of the restore in the history file is another one each time. */
const NONCE = /ltap restore [0-9a-z]{20}/

let root: string
let lake: string
let dump: string
let program: KilledProgram

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-restorekill-'))
  // A server that restores run by root belongs to another user.
  chmodSync(root, 0o755)
  lake = join(root, 'lake')
  program = new KilledProgram(root, PHASES)
  await withCluster(major, {}, async (cluster, sql) => {
    const space = await cluster.makeDir('space')
    await sql.script(`CREATE EXTENSION amcheck; CREATE TABLESPACE elsewhere LOCATION '${space}';
      CREATE TABLE t (id int PRIMARY KEY, v text) TABLESPACE elsewhere; INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
      CREATE INDEX ON t (v); DELETE FROM t WHERE id % 7 = 0; CREATE UNLOGGED TABLE u (id int PRIMARY KEY)`)
    dump = await pgDump(cluster, 'postgres')
    await cluster.stop()
    expect(await program.run(['transcode', cluster.dataDir, '--lake', lake])).toMatchObject({ code: 0 })
  })
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Of every file its hash, of every link where it leads. */
function content(folder: string): Map<string, string> {
  return new Map(readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().map((name) => {
    const path = join(folder, name)
    const stats = lstatSync(path)
    if (!stats.isFile()) return [name, stats.isDirectory() ? 'folder' : 'link']
    const bytes = readFileSync(path)
    return [name, createHash('sha256').update(name.endsWith('.history') ? bytes.toString('latin1').replace(NONCE, '') : bytes).digest('hex')]
  }))
}

const restored = (out: string): Map<string, string> => new Map([...content(out), ...[...content(`${out}.tablespaces`)].map(([name, hash]) => [`tablespaces/${name}`, hash] as const)])

function remove(out: string): void {
  for (const folder of [out, `${out}.tablespaces`]) rmSync(folder, { recursive: true, force: true })
}

/** Runs until one ends, as a user would: a refusal is one line that says what to do. @returns how many were refused */
async function untilDone(args: readonly string[], out: string): Promise<number> {
  for (let refused = 0; ; refused++) {
    const { code, stderr } = await program.run(args)
    if (code === 0) return refused
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/^ltap: restore\.(?:running|exists): [^\n]*\n$/) as string })
    // Killed between the marks of its folders: the user deletes what the line names.
    if (stderr.startsWith('ltap: restore.exists')) remove(out)
  }
}

test(`kills in each phase, seed ${TEST_SEED}`, async () => {
  const random = new Random(TEST_SEED)
  const before = content(lake)
  const whole = join(root, 'whole')
  const args = (out: string): string[] => ['restore', '--lake', lake, '--out', out]
  const calls = await program.callsOf(args(whole))
  const expected = restored(whole)
  const out = join(root, 'killed')
  const hits = new Map(PHASE_NAMES.map((phase) => [phase, 0]))
  let refused = 0
  for (const phase of PHASE_NAMES) {
    expect(calls.get(phase) ?? 0, `${phase} of ${[...calls].join('; ')}`).toBeGreaterThan(0)
    for (let kill = 0; kill < KILLS; kill++) {
      const { code } = await program.run(args(out), { phase, at: random.int(calls.get(phase)!) })
      if (code === 'killed') hits.set(phase, hits.get(phase)! + 1)
      if (code !== 0 && readdirSync(root).includes('killed') && !readdirSync(out).includes('ltap-restore') && readdirSync(out).length > 0) {
        // Killed behind its end: it is whole.
        expect((await program.run(args(out))).stderr).toMatch(/^ltap: restore\.exists: /)
      } else if (code !== 0) refused += await untilDone(args(out), out)
      expect(restored(out), `after a kill in ${phase}`).toEqual(expected)
      expect(content(lake)).toEqual(before)
      remove(out)
    }
  }
  console.info(`Postgres ${major}: ${[...hits].map(([phase, count]) => `${count} kills in ${phase} (${calls.get(phase)} calls)`).join(', ')}, ${refused} refused`)
  for (const [phase, count] of hits) expect(count, phase).toBeGreaterThan(0)
})

test(`kills while the server rebuilds indexes, seed ${TEST_SEED}`, async () => {
  const random = new Random(TEST_SEED + 1)
  const before = content(lake)
  const out = join(root, 'booted')
  const args = ['restore', '--lake', lake, '--out', out, '--postgres', findPostgres(major)!.binDir]
  const sessions = (await program.callsOf(args)).get('server')!
  remove(out)
  let [killed, refused] = [0, 0]
  for (let kill = 0; kill < Math.ceil(KILLS / 2); kill++) {
    const { code } = await program.run(args, { phase: 'server', at: random.int(sessions) })
    if (code === 'killed') killed++
    if (code !== 0) refused += await untilDone(args, out)
    await withAdopted(out, async (server, sql) => {
      expect(await pgDump(server, 'postgres')).toBe(dump)
      expect(await amcheck(sql)).toEqual([])
    })
    expect(content(lake)).toEqual(before)
    remove(out)
  }
  console.info(`Postgres ${major}: ${killed} kills in ${sessions} sessions of the server, the next run was refused ${refused} times`)
  expect(killed).toBeGreaterThan(0)
})

test('planted fault: what a killed restore left in the folder is found', async () => {
  const whole = join(root, 'planted')
  expect(await program.run(['restore', '--lake', lake, '--out', whole])).toMatchObject({ code: 0 })
  const expected = restored(whole)
  const copy = join(root, 'copy')
  cpSync(whole, copy, { recursive: true, verbatimSymlinks: true })
  cpSync(`${whole}.tablespaces`, `${copy}.tablespaces`, { recursive: true })
  expect(restored(copy)).toEqual(expected)
  writeFileSync(join(copy, 'base/1/99999'), '')
  expect(restored(copy)).not.toEqual(expected)
  rmSync(join(copy, 'base/1/99999'))
  const heap = [...expected.keys()].find((name) => /^tablespaces\/.*\/\d+$/.test(name) && expected.get(name) !== 'folder' && readFileSync(join(`${copy}.tablespaces`, name.slice(12))).length > 8192)!
  const file = join(`${copy}.tablespaces`, heap.slice(12))
  const bytes = readFileSync(file)
  bytes[8191]! ^= 1
  writeFileSync(file, bytes)
  expect(restored(copy)).not.toEqual(expected)
})
