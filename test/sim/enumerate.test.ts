/** Small cases, each of them: a kill before and after every request, and every order of two processes. */
import { expect, test } from 'vitest'
import { isPositioned } from '../../src/common/errors.ts'
import { collectGarbage } from '../../src/engine/collect.ts'
import { Lake } from '../../src/engine/lake.ts'
import { addReference, createBranch, deleteBranch, keepStates, removeReference } from '../../src/engine/references.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { CAS_KINDS, type CasKind } from '../../src/lake/state/format.ts'
import { TEST_SEED } from '../support/random.ts'
import { amount, drawn, SCOPE } from '../support/scope.ts'
import { Exhaustigen } from './exhaustigen.ts'
import { makeUnits, mergeOnce, othersBetween } from './simwriter.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import { lsnNumber, lsnText } from './simcluster.ts'
import { SmallWorld } from './smallworld.ts'
import { Machine } from './world.ts'

type Operation = (small: SmallWorld, machine: Machine) => Promise<void>

const OPERATIONS: Record<string, Operation> = {
  commit: async (small, machine) => {
    const lake = await small.lake(machine)
    await small.materialize(lake, await BranchWriter.open(lake, 'main'))
  },
  merge: async (small, machine) => {
    const lake = await small.lake(machine)
    await mergeOnce(lake, await BranchWriter.open(lake, 'main'), machine.numbers, 0)
  },
  gc: async (small, machine) => {
    const lake = await small.lake(machine)
    await keepStates(lake, 'main', 'newest')
    await collectGarbage(lake)
  },
  shrink: async (small, machine) => void await keepStates(await small.lake(machine), 'main', 'newest'),
  'publish for the first time': async (small, machine) => {
    const lake = await small.lake(machine)
    await small.publish(lake, await BranchWriter.open(lake, 'main'))
  },
  'publish a merge, a change and one more': async (small, machine) => {
    const lake = await small.lake(machine)
    const writer = await BranchWriter.open(lake, 'main')
    await mergeOnce(lake, writer, machine.numbers, 0)
    for (let i = 0; i < 3; i++) {
      await small.publish(lake, writer)
      await small.materialize(lake, writer)
    }
  },
  tag: async (small, machine) => {
    const lake = await small.lake(machine)
    const { head } = await addReference(lake, 'main', 'tags', 'release', 'newest')
    for (const { id } of head.tags) await removeReference(lake, 'main', 'tags', id)
  },
  branch: async (small, machine) => {
    const lake = await small.lake(machine)
    await createBranch(lake, 'main', 'b', { sequence: (await lake.head('main')).state.sequence })
  },
  'branch, deleted and made again': async (small, machine) => {
    const lake = await small.lake(machine)
    await createBranch(lake, 'main', 'b', 'newest')
    await deleteBranch(lake, 'main', 'b')
    await createBranch(lake, 'main', 'b', 'newest')
  },
  job: async (small, machine) => {
    const lake = await small.lake(machine)
    const { cluster } = small
    for (let i = 0; i < 9; i++) cluster.step()
    const to = cluster.lsn
    const source = { systemIdentifier: '7000000000000000001', lsn: lsnText(to) }
    const { head, entry } = await addReference(lake, 'main', 'jobs', 'job', 'newest', source)
    const relations = await makeUnits(lake, cluster, { branch: head.branch.id, id: entry.id, base: entry.state }, to, 0)
    const writer = await BranchWriter.open(lake, 'main')
    const position = { timeline: 1, lsn: lsnText(to), time: to }
    await writer.commit(materialize({ from: entry.state, position, relations, others: othersBetween(cluster, lsnNumber(entry.state.lsn), to), job: entry.id }))
    small.durable = to
  },
}

/** Runs a machine that is killed before or after its request `n`. @returns whether it came to that request */
async function runKilled(small: SmallWorld, verdict: 'kill-before' | 'kill-after', n: number, body: (subject: Machine) => Promise<void>): Promise<boolean> {
  const subject = new Machine(small.world, 'subject')
  let requests = 0
  small.store.judge = (machine) => machine === subject && ++requests === n ? verdict : 'go'
  let isDone = false
  subject.onCrash = () => { isDone = true }
  subject.spawn(async () => {
    await body(subject)
    isDone = true
  })
  await small.world.run(() => !isDone)
  return !subject.alive
}

/** Of a publication's many requests the quick tests take each fourth, from the one that the seed says: the seeds of four rounds have all of them. */
function stepOf(operation: string): number {
  return operation.startsWith('publish') ? amount({ quick: 4, sample: 1, all: 1 }) : 1
}

const KILLED = CAS_KINDS.flatMap((cas) => Object.keys(OPERATIONS).map((name) => [name, cas] as const))

test.each(drawn(KILLED, amount({ quick: 5, sample: 8, all: KILLED.length }), 'operations that are killed'))('%s, killed before and after every request (%s)', async (name, cas) => {
  let kills = 0
  for (const verdict of ['kill-before', 'kill-after'] as const) {
    const step = stepOf(name)
    for (let n = 1 + Math.floor(TEST_SEED / KILLED.length) % step, isKilled = true; isKilled; n += step) {
      const { small } = await SmallWorld.make(cas)
      isKilled = await runKilled(small, verdict, n, (subject) => OPERATIONS[name]!(small, subject))
      if (isKilled) kills++
      await small.recover()
    }
  }
  console.info(`${name} (${cas}): ${kills} kills`)
  expect(kills).toBeGreaterThanOrEqual(6)
})

test.each([['kill-before', 0], ['kill-after', 0], ['kill-before', 1], ['kill-after', 1]] as const)('creating a lake: %s, then again (%i)', async (verdict, first) => {
  for (let n = 1, isKilled = true; isKilled; n++) {
    const small = new SmallWorld()
    const create = async (machine: Machine): Promise<void> => {
      await Lake.create(small.ports(machine), { systemIdentifier: '7000000000000000001', profile: 'portable', cas: CAS_KINDS[first]! })
    }
    isKilled = await runKilled(small, verdict, n, create)
    const again = new Machine(small.world, 'again')
    await small.finish(again, () => create(again).catch((error: unknown) => {
      expect(isPositioned(error) && error.code).toBe('lake.exists')
    }))
    await small.recover()
  }
})

/** What two processes do at once; `writer` is open before. */
const PAIRS: Record<string, [a: Operation, b: Operation]> = {
  'two takeovers': [async (small, machine) => void await BranchWriter.open(await small.lake(machine), 'main'), async (small, machine) => void await BranchWriter.open(await small.lake(machine), 'main')],
  'a tag and a shrinking gc': [
    async (small, machine) => {
      const lake = await small.lake(machine)
      const { retained: [oldest], state } = await lake.head('main')
      await addReference(lake, 'main', 'tags', 'old', { sequence: (oldest ?? state).sequence })
    }, OPERATIONS['gc']!],
  'a branch and a shrinking gc': [async (small, machine) => void await createBranch(await small.lake(machine), 'main', 'b', 'newest'), SCOPE === 'quick' ? OPERATIONS['shrink']! : OPERATIONS['gc']!],
  'a merge and a gc': [OPERATIONS['merge']!, async (small, machine) => void await collectGarbage(await small.lake(machine))],
}

const PAIR_COUNT = Object.keys(PAIRS).length

/** So many choices at the start are the seed's in quick tests: the seeds of eight rounds have all orders. */
const FIXED = amount({ quick: 3, sample: 0, all: 0 })

async function everyOrder(cas: CasKind, a: Operation, b: Operation, states: number): Promise<number> {
  const gen = new Exhaustigen()
  while (gen.goesOn()) {
    const { small } = await SmallWorld.make(cas, states)
    let chosen = 0
    small.world.choose = (count) => chosen++ < FIXED ? Math.floor(TEST_SEED / PAIR_COUNT / 2 ** (chosen - 1)) % count : gen.choose(count)
    let running = 0
    for (const [i, body] of [a, b].entries()) {
      const machine = new Machine(small.world, `process ${i}`)
      running++
      machine.spawn(async () => {
        await body(small, machine).catch((error: unknown) => {
          if (!isPositioned(error) || !['commit.fenced', 'lake.not-retained'].includes(error.code)) throw error
        })
        running--
      })
    }
    await small.world.run(() => running > 0)
    small.world.choose = undefined
    await small.recover()
  }
  return gen.runs
}

test.each(drawn(Object.entries(PAIRS), amount({ quick: 1, sample: 2, all: PAIR_COUNT }), 'pairs of processes'))('%s, in every order that begins so', async (name, [a, b]) => {
  const runs = await everyOrder('if-match', a, b, 2)
  console.info(`${name}: ${runs} orders`)
  expect(runs).toBeGreaterThanOrEqual(amount({ quick: 2, sample: 20, all: 20 }))
})

test('a merge and a commit of one writer, in every order: both are in', async () => {
  const gen = new Exhaustigen()
  let merged = 0
  while (gen.goesOn()) {
    const { small, lake, writer, machine } = await SmallWorld.make('if-match', 3)
    small.world.choose = (count) => gen.choose(count)
    let running = 2
    machine.spawn(async () => {
      if (await mergeOnce(lake, writer, machine.numbers, 0) !== undefined) merged++
      running--
    })
    machine.spawn(async () => {
      await small.materialize(lake, writer)
      running--
    })
    await small.world.run(() => running > 0)
    small.world.choose = undefined
    await small.recover()
  }
  console.info(`a merge and a commit: ${gen.runs} orders, ${merged} merges`)
  expect(merged).toBeGreaterThan(0)
})

test('a commit and a takeover with another commit, in every order: one of them, or both one after the other', async () => {
  const gen = new Exhaustigen()
  let fenced = 0
  while (gen.goesOn()) {
    const { small, lake, writer, machine } = await SmallWorld.make('if-match', 1)
    small.world.choose = (count) => gen.choose(count)
    let running = 2
    machine.spawn(async () => {
      await small.materialize(lake, writer).catch((error: unknown) => {
        expect(isPositioned(error) && error.code).toBe('commit.fenced')
        fenced++
      })
      running--
    })
    const second = new Machine(small.world, 'second')
    second.spawn(async () => {
      await OPERATIONS['commit']!(small, second)
      running--
    })
    await small.world.run(() => running > 0)
    small.world.choose = undefined
    await small.recover()
  }
  console.info(`a commit and a takeover: ${gen.runs} orders, fenced in ${fenced}`)
  expect(fenced).toBeGreaterThan(0)
  expect(fenced).toBeLessThan(gen.runs)
})
