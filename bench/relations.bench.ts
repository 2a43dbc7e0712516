/** A cluster of many relations: memory of a transcode by the command line, and what a run asks of the store when one table changed, and 1,000. */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DirectoryObjectStore } from '../src/io/objectstore/directoryobjectstore.ts'
import { PostgresServer } from '../src/server/postgres.ts'
import { benchDir, benchSize } from './data.ts'
import { textHash } from './hash.ts'
import { printResult } from './report.ts'
import { withClient } from './server.ts'

/** A table with a text column is two relations: it has a TOAST relation. */
const TABLES = benchSize() === 'full' ? 50_000 : 400
const CHANGED = benchSize() === 'full' ? 1000 : 20
const WANTED_BYTES = 1e9
const SETTINGS = { autovacuum: 'off', fsync: 'off', max_wal_size: '8GB', max_locks_per_transaction: '2000', checkpoint_timeout: '1h' }
const MAIN = join(import.meta.dirname, '../src/cli/main.js')
const lake = join(benchDir(), `relations-${process.pid}`)

interface Summary {
  relations: number
  unchanged: number
  requests: Record<string, number>
}

const server = await PostgresServer.create({ major: 17, parentDir: benchDir() })
try {
  await server.start(SETTINGS)
  await withClient(server, async (client) => {
    for (let first = 1; first <= TABLES; first += 1000) {
      const last = Math.min(first + 999, TABLES)
      await client.query(`DO $$ BEGIN FOR i IN ${first} .. ${last} LOOP
        EXECUTE format('CREATE TABLE t%s (id int, v text); INSERT INTO t%s VALUES (%s, md5(%L))', i, i, i, i); END LOOP; END $$`)
    }
  })
  await server.stop()
  const made = await transcode()
  const relations = made.summary.relations
  print(`${relations} relations`, 'new lake', 'bytes of memory', made.peakBytes, 'the limit', WANTED_BYTES, 1, made.summary)
  for (const count of [1, CHANGED]) {
    await server.start(SETTINGS)
    await withClient(server, async (client) => {
      for (let i = 1; i <= count; i++) await client.query(`INSERT INTO t${i} VALUES (${i}, 'more')`)
    })
    await server.stop()
    const bytes = await storedBytes()
    const { summary, peakBytes } = await transcode()
    if (summary.relations - summary.unchanged < count) throw new Error(`${summary.unchanged} of ${summary.relations} relations are unchanged`)
    const asked = Object.entries(summary.requests).filter(([, n]) => n > 0).map(([kind, n]) => `${n} ${kind}`).join(', ')
    print(`${relations} relations`, `${count} changed`, 'bytes of memory', peakBytes, 'the limit', WANTED_BYTES, 1, summary)
    print(`${relations} relations`, `${count} changed: ${asked}`, 'bytes stored', await storedBytes() - bytes, 'bytes of the lake', bytes, undefined, summary)
  }
} finally {
  await server.remove()
  rmSync(lake, { recursive: true, force: true })
}

/** By the program itself, in a process of its own. */
async function transcode(): Promise<{ summary: Summary; peakBytes: number }> {
  const report = `process.on('exit', () => process.stderr.write('\\npeak ' + process.resourceUsage().maxRSS + '\\n'))`
  const args = ['--import', `data:text/javascript,${encodeURIComponent(report)}`, MAIN, 'transcode', server.dataDir, '--lake', lake, '--publish', 'none', '--json']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (piece: Buffer) => out.push(piece))
  child.stderr.on('data', (piece: Buffer) => err.push(piece))
  const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject))
  const said = Buffer.concat(err).toString()
  if (code !== 0) throw new Error(said)
  return { summary: JSON.parse(Buffer.concat(out).toString()) as Summary, peakBytes: Number(/^peak (\d+)$/m.exec(said)?.[1]) * 1024 }
}

async function storedBytes(): Promise<number> {
  let sum = 0
  for await (const { size } of new DirectoryObjectStore(lake).list('')) sum += size
  return sum
}

function print(table: string, variant: string, unit: string, ours: number, peerName: string, peer: number, wanted: number | undefined, { relations, unchanged }: Summary): void {
  const hash = textHash(`${relations} ${unchanged}`)
  printResult({ kind: 'cost', bench: 'relations', table, variant, unit, ours, peerName, peer, ...wanted !== undefined && { wanted }, hash })
}
