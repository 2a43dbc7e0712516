/** One seed of test/long/ddl.test.ts on one server: random DDL, DML, savepoints and two-phase commit. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DdlWorkload } from '../support/ddl.ts'
import { checkLake, checkVisible } from '../support/ddlcheck.ts'
import { Random } from '../support/ddlvalues.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

const SEED = 1

test('any DDL leaves a lake that holds every page and every visible row', async () => {
  const workload = new DdlWorkload(new Random(SEED))
  await withFolder((folder) => withCluster(majors().at(-1)!, { settings: { max_prepared_transactions: '20' } }, async (cluster) => {
    await workload.open(cluster, true)
    await workload.run(300)
    await cluster.stop('fast')
    await closeSessions(cluster)
    const lake = join(folder, 'lake')
    const { manifest, problems } = await checkLake(cluster, lake, false)
    await cluster.start()
    problems.push(...await checkVisible(cluster, lake, manifest))
    expect(problems.slice(0, 20), `seed ${SEED}`).toEqual([])
    for (const kind of KINDS) expect([kind, workload.done.get(kind) ?? 0]).not.toEqual([kind, 0])
  }))
})

/** Kinds that any run of this length has. */
const KINDS = ['INSERT', 'UPDATE', 'ADD DEFAULT', 'DROP COLUMN', 'GHOST', 'PREPARE', 'ROLLBACK TO', 'VACUUM FULL']
