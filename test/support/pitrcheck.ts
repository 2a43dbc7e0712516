/** One point in time, as the quick and the long tests check it: our lake of then against the server that recovered to then. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ReplayTarget } from '../../src/replay/replay.ts'
import { replayCluster, type ReplayReport } from '../../src/jobs/replay/replaycluster.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { compareCluster } from './comparelake.ts'
import { transcode } from './lakes.ts'
import type { Random } from './random.ts'
import { missingRelations, type PitrCase, withRecovered } from './pitr.ts'

export interface PointChecked {
  report: ReplayReport
  relations: number
  values: number
  pages: number
  /** Empty if the lake is right. */
  problems: string[]
}

/**
 * Replays to the target, transcodes, verifies, compares every table's rows with the server.
 * @param keep the replayed folder, from which the next call goes on
 */
export async function checkPoint(
  found: PitrCase, target: ReplayTarget, server: PostgresServer, { wal = found.wal, keep = false }: { wal?: string; keep?: boolean } = {},
): Promise<PointChecked> {
  const databases = ['postgres']
  const [out, lake] = [join(found.work, 'out'), join(found.work, 'lake')]
  try {
    const report = await replayCluster({ source: found.base, wal, out, target })
    const manifest: Manifest = await transcode(out, lake, { source: found.base, compression: 'none', filter: { databases, tables: [] } })
    const verified = await verifyLake({ lake, pgdata: out, workers: 0 })
    const problems = verified.differences.map((difference) => JSON.stringify(difference))
    if (manifest.lsn !== report.lsn) problems.push(`the lake is at ${manifest.lsn}, replay at ${report.lsn}`)
    const { forensic } = verified
    if (forensic.hintContradictions + forensic.damagedPages > 0) problems.push(JSON.stringify(forensic))
    problems.push(...await missingRelations(server, manifest, databases))
    const { values, differences } = await compareCluster(server, lake, manifest)
    return { report, relations: verified.relations, pages: verified.pages, values, problems: [...problems, ...differences] }
  } finally {
    if (!keep) rmSync(out, { recursive: true, force: true })
    rmSync(lake, { recursive: true, force: true })
  }
}

/** Checks points between any two records, ascending, every other one going on from the one before. */
export async function checkPoints(found: PitrCase, random: Random, count: number): Promise<void> {
  const { ends, major, seed } = found
  const points = Array.from({ length: count }, () => random.int(ends.length - 1)).sort((a, b) => a - b)
  let values = 0
  for (const [i, at] of points.entries()) {
    const end = ends[at]!
    // Anywhere before the end of the next record.
    const lsn = end + random.int(ends[at + 1]! - end)
    await withRecovered(found, { lsn: end }, async (server) => {
      const { problems, report, ...counts } = await checkPoint(found, { lsn }, server, { keep: i % 2 === 0 && i < count - 1 })
      expect(problems.slice(0, 20), `seed ${seed}, record ${at}`).toEqual([])
      expect(report.resumed).toBe(i % 2 === 1)
      // The base's checkpoint is one more.
      expect(report.records).toBe(report.resumed ? at - points[i - 1]! : at + 2)
      expect(counts.values).toBeGreaterThan(1000)
      values += counts.values
      console.log(`Postgres ${major}, seed ${seed}, record ${at} of ${ends.length}${report.resumed ? ', going on' : ''}:`, JSON.stringify(counts))
    })
  }
  console.log(`Postgres ${major}: ${count} points, ${values} values`, JSON.stringify(Object.fromEntries(found.done)))
}
