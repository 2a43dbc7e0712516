/** Random DDL, DML, savepoints and two-phase commit on real servers. LTAP_DDL_SEED=<n>,… runs other seeds, LTAP_DDL_LOG=<file> keeps the statements. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DdlWorkload } from '../support/ddl.ts'
import { checkLake, checkRebuilt, checkVisible } from '../support/ddlcheck.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'

const SEEDS = process.env['LTAP_DDL_SEED']?.split(',').map(Number) ?? amount({ sample: [TEST_SEED], all: [11, TEST_SEED] })
const ROUNDS = amount({ sample: 2, all: 3 })
const TRANSACTIONS = amount({ sample: 120, all: 300 })

describe.each(majors())('random DDL on Postgres %i', (major) => {
  test.each(SEEDS)('seed %i', async (seed) => {
    const workload = new DdlWorkload(new Random(seed * 100 + major))
    await withFolder((folder) => withCluster(major, { settings: { max_prepared_transactions: '20' } }, async (cluster) => {
      for (const database of ['postgres', 'template1']) await (await connect(cluster, database)).exec('CREATE EXTENSION amcheck')
      await closeSessions(cluster)
      for (let round = 0; round < ROUNDS; round++) {
        await workload.open(cluster, round === 0)
        await workload.run(TRANSACTIONS)
        // Fast: transactions that are left open abort.
        await cluster.stop('fast')
        if (process.env['LTAP_DDL_LOG']) writeFileSync(process.env['LTAP_DDL_LOG'], workload.log.join('\n'))
        const lake = join(folder, `lake${round}`)
        const last = round === ROUNDS - 1
        const { manifest, problems } = await checkLake(cluster, lake, { databases: last ? [] : ['postgres'], tables: [] })
        if (last) problems.push(...await checkRebuilt(cluster, lake, manifest, folder))
        await closeSessions(cluster)
        await cluster.start()
        problems.push(...await checkVisible(cluster, lake, manifest))
        expect(problems.slice(0, 20), `seed ${seed}, round ${round}`).toEqual([])
      }
    }))
  })
})
