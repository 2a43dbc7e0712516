/** Damage to pages that a real server wrote: catalogs, TOAST, sequences and tables of every type. */
import { expect, test } from 'vitest'
import { relationSchema } from '../../src/columnar/schema.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { buildToastIndex } from '../../src/columnar/toastindex.ts'
import { ToastReader } from '../../src/columnar/toastreader.ts'
import { type FuzzSource, fuzzSources } from '../columnar/fuzzpages.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { loadZoo } from '../support/zoo.ts'

const DAMAGED = amount({ sample: 4_000, all: 20_000 })
/** How many pages of a large relation are damaged. */
const PAGES_MAX = 40

function sourcesOf(pgdata: string, database: string): FuzzSource[] {
  const cluster = openCluster(pgdata)
  const dbOid = cluster.databases.find(({ name }) => name === database)!.oid
  const relations = [...cluster.relations(0), ...cluster.relations(dbOid)]
  const sources: FuzzSource[] = []
  for (const relation of relations) {
    if (!relation.desc) continue
    const toastRelation = relations.find(({ oid, visible }) => oid === relation.toastRelId && visible)
    const toastFork = toastRelation && cluster.openMain(toastRelation)
    const toast = toastFork && new ToastReader(relation.toastRelId, toastFork, buildToastIndex(toastFork, cluster.snapshot))
    const { major } = cluster
    const schema = relationSchema({ major, profile: 'portable', encoding: relation.database.encoding, desc: relation.desc, displayScales: {}, pageFlags: 0 })
    const fork = cluster.openMain(relation)
    for (let block = 0; block < Math.min(fork.blocks, PAGES_MAX); block++) {
      const page = fork.read(block).slice()
      sources.push({ name: `${relation.schema}.${relation.name} block ${block}, seed ${TEST_SEED}`, page, schema, visibility: cluster.snapshot, toast })
    }
    fork.close()
  }
  return sources
}

test(`${DAMAGED} damaged pages of a server, seed ${TEST_SEED}`, async () => {
  const major = majors().at(-1)!
  await withCluster(major, {}, async (server, sql) => {
    await loadZoo(major, sql)
    await sql.script('checkpoint')
    await closeSessions(server)
    await server.stop()
    const sources = sourcesOf(server.dataDir, 'postgres')
    const report = fuzzSources(DAMAGED, TEST_SEED, (_, dice) => dice.pick(sources))
    expect(report.pages).toBeGreaterThanOrEqual(DAMAGED)
    console.info(sources.length, report)
  })
})
