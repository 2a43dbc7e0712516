import { test, expect } from 'vitest'
import { readFileSync, readdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { createHash } from 'node:crypto'
import { createCluster, connect, closeSessions } from '/tmp/wt/values/test/support/oracle.ts'
import { loadZoo } from '/tmp/wt/values/test/support/zoo.ts'
import { runWorkload } from '/tmp/wt/values/test/support/workload.ts'
function hash(lake: string): Map<string, string> {
  const out = new Map<string, string>()
  for (const e of readdirSync(join(lake, 'data'), { recursive: true, withFileTypes: true })) if (e.isFile()) { const p = join(e.parentPath, e.name); out.set(p.slice(lake.length), createHash('sha256').update(readFileSync(p)).digest('hex')) }
  return out
}
test('same bytes', async () => {
  const cluster = await createCluster(17)
  const sql = await connect(cluster)
  await loadZoo(17, sql)
  await runWorkload(cluster)
  await closeSessions(cluster); await cluster.stop('fast')
  const folder = mkdtempSync(join(tmpdir(), 'valhash-'))
  const o = { pgdata: cluster.dataDir, workers: 0, compression: 'zstd', profile: 'portable', onCorrupt: 'fail' }
  const base: any = await import('/tmp/values-exp/base/dist/io/index.js')
  const now: any = await import('/tmp/wt/values/dist/io/index.js')
  await base.transcodeLake({ ...o, lake: join(folder, 'a') })
  await now.transcodeLake({ ...o, lake: join(folder, 'b') })
  const a = hash(join(folder, 'a')), b = hash(join(folder, 'b'))
  console.log('files', a.size, b.size, 'different', [...a].filter(([k, v]) => b.get(k) !== v).map(([k]) => k).slice(0, 20))
  expect([...b]).toEqual([...a])
  rmSync(folder, { recursive: true }); await cluster.remove()
}, 600000)
