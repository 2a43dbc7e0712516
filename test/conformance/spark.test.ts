/** plan | RDD.pipe of ltap work | commit, with PySpark on two workers, one of which is killed while it works: the lake is the one of a single process. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { fewerMajors } from '../support/oracle.ts'
import { checkSharedLake, createSharedCluster, PROGRAM, run } from '../support/sharedjob.ts'

const PYTHON = join(process.env['LTAP_CONFORMANCE'] ?? join(homedir(), '.cache/ltap'), 'spark/bin/python')
const [major] = fewerMajors('scale-out by Spark') as [number]

let folder: string
let cluster: PostgresServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-spark-'))
  cluster = await createSharedCluster(major)
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

function missing(): string | undefined {
  if (!existsSync(PYTHON)) return `there is no ${PYTHON}: npm run conformance:install puts it there`
  return spawnSync('java', ['-version']).status === 0 ? undefined : 'there is no java'
}

/** The process above `pid` that runs tasks for Spark. */
function executorOf(pid: number): number {
  for (let at = pid; at > 1;) {
    if (readFileSync(`/proc/${at}/cmdline`, 'latin1').includes('CoarseGrainedExecutorBackend')) return at
    at = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${at}/status`, 'latin1'))![1])
  }
  throw new Error(`no executor above process ${pid}`)
}

async function untilThere(path: string): Promise<number> {
  for (;;) {
    const found = existsSync(path) ? Number(readFileSync(path, 'latin1')) : 0
    if (found > 0) return found
    await new Promise((done) => setTimeout(done, 100))
  }
}

const why = missing()
if (why !== undefined) console.info(`SKIPPED: PySpark: ${why}`)

test.skipIf(why !== undefined)('a worker of two is killed, and its units are done by another one', async () => {
  const lake = `file://${join(folder, 'lake')}`
  const [units, results, begun, script] = ['units.jsonl', 'results.jsonl', 'begun', 'work.sh'].map((name) => join(folder, name)) as [string, string, string, string]
  const planned = await run(process.execPath, [PROGRAM, 'transcode', cluster.dataDir, '--lake', lake, '--database', 'postgres', '--plan'])
  expect(planned.code, planned.stderr).toBe(0)
  writeFileSync(units, planned.stdout)
  // The first one that begins waits to be killed.
  writeFileSync(script, `if mkdir '${begun}' 2>/dev/null; then echo $$ > '${begun}/pid'; exec sleep 600; fi\nexec '${process.execPath}' '${PROGRAM}' work --workers 1\n`)
  const job = run(PYTHON, [join(import.meta.dirname, 'rddpipe.py'), units, results, `sh ${script}`])
  const first = await untilThere(join(begun, 'pid'))
  process.kill(executorOf(first), 'SIGKILL')
  const { code, stderr } = await job
  try {
    process.kill(first, 'SIGKILL')
  } catch {
    // It ended with its executor.
  }
  expect(code, stderr.slice(-2000)).toBe(0)
  expect(stderr).toMatch(/Lost executor/)
  const committed = await run(process.execPath, [PROGRAM, 'commit', results, '--json'])
  expect(committed.code, committed.stderr).toBe(0)
  expect(JSON.parse(committed.stdout)).toMatchObject({ done: 'committed' })
  await checkSharedLake(lake, cluster)
})
