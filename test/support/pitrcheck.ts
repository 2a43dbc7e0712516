/** One point in time, as the quick and the long tests check it: our lake of then against the server that recovered to then. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ReplayTarget } from '../../src/engine/replay.ts'
import { replayCluster, type ReplayReport } from '../../src/io/replay/replaycluster.ts'
import type { PostgresCluster } from '../../src/io/postgres.ts'
import { verifyLake } from '../../src/io/verifylake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { compareCluster } from './comparelake.ts'
import { transcode } from './lakes.ts'
import { missingRelations, type PitrCase } from './pitr.ts'

export interface PointChecked {
  report: ReplayReport
  relations: number
  values: number
  pages: number
  /** Empty if the lake is right. */
  problems: string[]
}

/** Replays to the target, transcodes, verifies, compares every table's rows with the server. */
export async function checkPoint(
  found: PitrCase, target: ReplayTarget, server: PostgresCluster, wal = found.wal, databases = ['postgres'],
): Promise<PointChecked> {
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
    rmSync(out, { recursive: true, force: true })
    rmSync(lake, { recursive: true, force: true })
  }
}
