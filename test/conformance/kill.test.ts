/**
 * kill -9 of `ltap transcode --lake` and of `ltap gc`, the built program, at random moments, on real S3 servers: the lake is at the state before or at the
 * one behind, verify is clean, gc removes what the killed ones left, and the lake has what a new one has.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { reachAll } from '../../src/engine/collect.ts'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import type { CollectReport } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { parseObjectName } from '../../src/lake/state/names.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { installedServers, KEYS, type RealServer, startServer } from './servers.ts'

const PROGRAM = join(resolve(import.meta.dirname, '../..'), 'dist/cli/main.js')
const URL = 's3://lake/killed'
const KILLS = amount({ sample: 6, all: 100 })
/** One of so many kills is of gc. */
const GC_EVERY = 3
/** All of the lake is read after so many kills. */
const VERIFIED_EVERY = 10
const filter = { databases: ['postgres'], tables: [] }
const [major] = fewerMajors('kills of transcode and gc') as [number]

interface Ended {
  signal: string | null
  code: number | null
  stdout: string
  stderr: string
  ms: number
}

describe.each(installedServers())('%s', (name) => {
  let server: RealServer
  let cluster: PostgresServer
  const random = new Random(TEST_SEED)

  beforeAll(async () => {
    server = await startServer(name)
    cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
    await (await connect(cluster)).script("CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i")
    await closeSessions(cluster)
    await cluster.stop('fast')
  })

  afterAll(async () => {
    await cluster?.remove()
    await server?.stop()
  })

  /** @param killAfter milliseconds; undefined: it runs to its end */
  async function ltap(argv: readonly string[], killAfter?: number): Promise<Ended> {
    const environment = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey, AWS_ENDPOINT_URL_S3: server.endpoint }
    const started = performance.now()
    const child = spawn(process.execPath, [PROGRAM, ...argv], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter)
    const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number | null, string | null]>])
    clearTimeout(timer)
    return { signal, code, stdout, stderr, ms: performance.now() - started }
  }

  async function finished(argv: readonly string[]): Promise<Ended> {
    const ended = await ltap(argv)
    expect(ended, ended.stderr).toMatchObject({ code: 0 })
    return ended
  }

  async function change(): Promise<void> {
    await cluster.start()
    await (await connect(cluster)).script(`UPDATE t SET v = md5(random()::text) WHERE id % 50 = ${random.int(50)}; DELETE FROM t WHERE id % 997 = ${random.int(997)}`)
    await closeSessions(cluster)
    await cluster.stop('fast')
  }

  test(`${KILLS} kills`, async () => {
    const transcode = ['transcode', cluster.dataDir, '--lake', URL, '--database', 'postgres', '--workers', '1']
    const times = { transcode: (await finished(transcode)).ms, gc: (await finished(['gc', URL])).ms }
    const store = await openObjectStore(URL, { endpoint: server.endpoint, credentials: KEYS, environment: {} })
    const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
    const lsnOf = async (): Promise<string> => (await lake.head('main')).state.lsn
    const counts = { killed: 0, ended: 0, committed: 0 }
    let before = await lsnOf()
    let isChanged = false
    for (let kill = 1; kill <= KILLS; kill++) {
      const verb = kill % GC_EVERY === 0 ? 'gc' : 'transcode'
      if (verb === 'transcode' && !isChanged) {
        await change()
        isChanged = true
      }
      const argv = verb === 'gc' ? ['gc', URL, '--keep', random.pick(['0s', before])] : transcode
      const { signal, code, stderr, ms } = await ltap(argv, times[verb] * (0.3 + random.int(70) / 100))
      if (signal === 'SIGKILL') counts.killed++
      else {
        expect({ code, stderr }).toMatchObject({ code: 0 })
        // A run that adds a little takes less time than the first one: the next kills come earlier.
        times[verb] = Math.min(times[verb], ms)
      }
      const now = await lsnOf()
      if (verb === 'gc') expect(now).toBe(before)
      else if (signal !== 'SIGKILL') expect(now).not.toBe(before)
      if (now !== before) {
        // It is the cluster's state, whole: another run has nothing to do.
        expect((await finished(transcode)).stdout).toMatch(/already: nothing to do/)
        counts.committed++
        isChanged = false
      }
      before = now
      if (kill % VERIFIED_EVERY === 0) await finished(['verify', '--lake', URL, '--workers', '1'])
    }
    await finished(transcode)
    const fresh = new MemoryObjectStore(systemClock)
    await materializeLake({ pgdata: cluster.dataDir, store: fresh, workers: 0, filter })
    expect(layeredDifferences(await readLayeredLake(store), await readLayeredLake(fresh))).toEqual([])
    const collected = JSON.parse((await finished(['gc', URL, '--keep', '0s', '--json'])).stdout) as CollectReport
    await finished(['verify', '--lake', URL, '--workers', '1'])
    // What a killed writer of this epoch left is known to be dead once another one has committed: so one more state, and gc.
    await change()
    await finished(transcode)
    await finished(['gc', URL, '--keep', '0s'])
    const reached = new Set<string>()
    await reachAll(lake, (key) => reached.add(key))
    const named: string[] = []
    for await (const { key } of store.list('')) if (parseObjectName(key)) named.push(key)
    expect(named.sort()).toEqual([...reached].sort())
    for await (const { key } of store.leftovers()) expect.fail(`an upload of ${key} is left`)
    console.info(`${name}: ${counts.killed} of ${KILLS} killed, ${counts.committed} states committed, ${collected.dead} dead objects and ${collected.leftovers} uploads at the end`)
    expect(counts.killed).toBeGreaterThan(0)
  })
})
