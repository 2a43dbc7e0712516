/**
 * A lake of layers that grew round by round equals a lake that is made of the same data directory at once: pages, visible rows, names, lengths. The
 * workload changes tables in every way, also without WAL (hint bits), and lets rows become visible without their page changing (prepared transactions).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { isPacked } from '../../src/lake/layer.ts'
import { MAIN_BRANCH } from '../../src/lake/state/names.ts'
import { retainedStates } from '../../src/lake/state/registrations.ts'
import { layeredDifferences, type LayeredRelation, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { endPrepared, filter, fourOf, SETTINGS, SETUP, STEPS } from '../support/rounds.ts'
import { amount, drawn } from '../support/scope.ts'

const ROUNDS = amount({ quick: 5, sample: 12, all: 30 })

/** Merges layers: neither the newest state nor an earlier one says anything else than before. */
async function checkMerge(
  folder: string, store: ObjectStore, before: Map<string, LayeredRelation>, random: Random,
): Promise<{ after: Map<string, LayeredRelation>; layers: number }> {
  const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
  const states = (await lake.runHead(MAIN_BRANCH, retainedStates)).filter(({ sequence }) => sequence > 0)
  const { sequence } = random.pick(states)
  const older = await readLayeredLake(store, { sequence })
  const all = random.chance(50)
  const merged = await mergeLake({ lake: folder, all, workers: 0 })
  expect(merged.left).toEqual([])
  const after = await readLayeredLake(store)
  expect(layeredDifferences(before, after)).toEqual([])
  expect(layeredDifferences(older, await readLayeredLake(store, { sequence }))).toEqual([])
  if (all) {
    for (const { relation: { layers } } of after.values()) expect(layers.length).toBe(1)
    expect(new Set([...after.values()].flatMap(({ relation: { layers } }) => layers.flatMap(({ files }) => files.filter(isPacked).map(({ key }) => key)))).size).toBe(1)
  }
  return { after, layers: merged.layersBefore }
}

describe.each(drawn(majors(), 1, 'majors of incremental lakes'))('Postgres %i', (major) => {
  test(`a lake that grew equals one that is new, over ${ROUNDS} rounds`, () => withCluster(major, { settings: SETTINGS }, async (server, first) => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-incremental-'))
    const random = new Random(TEST_SEED)
    const store = await openObjectStore(join(folder, 'lake'))
    const sums = { unchanged: 0, blocks: 0, newBlocks: 0, open: 0, merged: 0 }
    try {
      await first.script(SETUP)
      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) {
          await server.start()
          const sql = await connect(server)
          await endPrepared(sql, random)
          for (const step of fourOf(STEPS, random)) await step(sql, random, round)
        }
        await closeSessions(server)
        await server.stop('fast')
        const grown = await materializeLake({ pgdata: server.dataDir, store, workers: 0, filter })
        expect(grown.from === null).toBe(round === 0)
        const fresh = new MemoryObjectStore(systemClock)
        const made = await materializeLake({ pgdata: server.dataDir, store: fresh, workers: 0, filter })
        let ours = await readLayeredLake(store)
        if (round > 0 && (random.chance(30) || round === ROUNDS - 1)) {
          const { after, layers } = await checkMerge(join(folder, 'lake'), store, ours, random)
          sums.merged += layers
          ours = after
        }
        expect(layeredDifferences(ours, await readLayeredLake(fresh)), `round ${round}`).toEqual([])
        if (round === 0) continue
        sums.unchanged += grown.unchanged
        sums.merged += grown.merged.layersBefore
        expect(grown.mergeProblem).toBeNull()
        expect(grown.merged.left).toEqual([])
        sums.blocks += grown.blocks
        sums.newBlocks += made.blocks
        for (const { relation: { layers } } of ours.values()) sums.open = Math.max(sums.open, layers.length)
      }
      // It wrote what changed, not all, and several layers of one relation.
      expect(sums.unchanged).toBeGreaterThan(50 * (ROUNDS - 1))
      expect(sums.blocks).toBeLessThan(sums.newBlocks * 0.6)
      expect(sums.open).toBeGreaterThan(1)
      expect(sums.merged).toBeGreaterThan(1)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }))
})
