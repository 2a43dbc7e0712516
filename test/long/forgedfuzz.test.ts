/** Descriptors, manifests, footers, catalogs, control files, two-phase files, SLRUs and WAL as a forger writes them, every checksum right. */
import { expect, test } from 'vitest'
import { withFolder } from '../support/lakes.ts'
import { missedPlants } from '../support/forgedplants.ts'
import { runForged } from '../support/forgedrun.ts'
import { FORGED_CLUSTER, forgedSetup } from '../support/forgedsetup.ts'
import { KINDS } from '../support/forgedinputs.ts'
import { majors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

/** Number of inputs of all majors together. */
const INPUTS = amount({ sample: 200, all: 100_000 })

test.each(majors())(`forged inputs of Postgres %i, seed ${TEST_SEED}`, async (major) => {
  await withFolder((folder) => withCluster(major, FORGED_CLUSTER, async (cluster, sql) => {
    const setup = await forgedSetup(cluster, sql, folder, TEST_SEED + major)
    expect(await missedPlants(setup)).toEqual([])
    const report = await runForged(setup, folder, Math.ceil(INPUTS / majors().length))
    expect(report.faults).toEqual([])
    for (const kind of KINDS) expect(report.counts[kind]!.refused + report.counts[kind]!.accepted, kind).toBeGreaterThan(0)
    // A few control and two-phase files may all be such as servers write.
    for (const kind of ['descriptor', 'manifest', 'footer', 'hidden', 'wal', ...amount({ sample: [], all: ['catalog', 'control', 'twophase', 'toast'] })]) expect(report.counts[kind]!.refused, kind).toBeGreaterThan(0)
  }))
})
