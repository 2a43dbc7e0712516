import { collectGarbage, reachAll, registeredHeads } from '../../src/engine/collect.ts'
import { Lake } from '../../src/engine/lake.ts'
import { addReference, createBranch, deleteBranch, keepStates, type Registered, removeReference } from '../../src/engine/references.ts'
import { retainStates } from '../../src/engine/retention.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import type { CasKind } from '../../src/lake/state/format.ts'
import type { Head, Lease } from '../../src/lake/state/head.ts'
import { retainedStates } from '../../src/lake/state/registrations.ts'
import type { Stage } from '../../src/lake/state/stage.ts'
import type { StateRoot } from '../../src/lake/state/stateroot.ts'
import type { Coverage } from './coverage.ts'
import { Crew, type Role } from './crew.ts'
import { lsnNumber, lsnText, SimCluster } from './simcluster.ts'
import { audit } from './simreader.ts'
import { SimPublishing } from './simpublishing.ts'
import { NO_FAULTS } from './simstore.ts'
import { hasCode, isExpected, makeUnits, materializeOnce, mergeOnce, othersBetween } from './simwriter.ts'
import { check, type Machine, SimulationFailure, World } from './world.ts'
export { Coverage } from './coverage.ts'
export { sharedCommit } from './sharedcommit.ts'
export { stalledWriter } from './stalledwriter.ts'

export interface SimResult {
  readonly requests: number
  readonly commits: number
  readonly takeovers: number
  readonly merges: number
  readonly jobs: number
  readonly audits: number
  readonly deleted: number
  readonly publications: number
  /** Of published tables, by engines that opened them before. */
  readonly reads: number
  /** Virtual milliseconds at the end. */
  readonly clock: number
  /** Of all that drew random numbers: what comes next. */
  readonly next: number
}

function* retainedHere(head: Head): Stage<{ head: Head; states: StateRoot[] }> {
  return { head, states: yield* retainedStates(head) }
}

/** Virtual milliseconds that the actors are at it. */
const DURATIONS = [4000, 8000, 8000, 25_000]

/** One run: everything in it follows from the seed. @param coverage gets what it hits @throws SimulationFailure, with the seed */
export async function simulate(seed: number, coverage?: Coverage): Promise<SimResult> {
  const simulation = new Simulation(seed)
  try {
    const result = await simulation.run()
    coverage?.addAll(simulation.store.coverage)
    return result
  } catch (error) {
    throw new SimulationFailure(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

export class Simulation extends Crew {
  private readonly clusters = new Map<number, SimCluster>()
  /** By branch name: the highest epoch that somebody opened. */
  private readonly epochs = new Map<string, number>()
  /** By branch name: the LSN that was reported as durable. */
  private readonly durable = new Map<string, number>()
  private readonly tags: { branch: string; id: string }[] = []
  private readonly duration: number
  private readonly cas: CasKind
  private readonly padding: number
  private readonly gather: number
  private readonly counts = { commits: 0, takeovers: 0, merges: 0, jobs: 0, audits: 0, deleted: 0 }
  /** Undefined for a lake that is not published. */
  private readonly publishing: SimPublishing | undefined
  /** A job is at work: nobody else materializes, so that it has a chance. */
  private isQuiet = false

  constructor(seed: number, isTraced = false) {
    super(new World(seed, isTraced))
    this.duration = this.random.pick(DURATIONS)
    this.cas = this.random.pick(['if-match', 'if-none-match'] as const)
    this.store.faults = { percent: this.random.pick([0, 2, 10, 25]), latency: this.random.pick([5, 20, 50]) }
    this.padding = this.random.pick([0, 0, 600, 4000])
    this.gather = this.random.pick([0, 0, 250])
    this.publishing = this.random.chance(60) ? new SimPublishing(this.world, this.store, this.clusters, {
      icebergVersion: this.random.pick([2, 3] as const), window: { snapshots: this.random.pick([2, 3, 100]), ms: this.random.pick([3000, 20_000, 3_600_000]) },
    }) : undefined
    this.clusters.set(1, new SimCluster(1, this.world.random('cluster 1'), 1 + this.random.int(6), 1 + this.random.int(4)))
  }

  async run(): Promise<SimResult> {
    const setup = this.machine('setup')
    let isDone = false
    setup.spawn(async () => {
      for (;;) {
        try {
          await Lake.create(this.ports(setup), { systemIdentifier: '7000000000000000001', profile: 'portable', cas: this.cas })
          break
        } catch (error) {
          // An attempt before this one may have got there.
          if (hasCode(error, 'lake.exists')) break
          if (!isExpected(error)) throw error
        }
      }
      isDone = true
    })
    await this.world.run(() => !isDone)
    for (const role of this.roles()) this.keepRunning(role)
    this.reap()
    await this.world.run(() => this.world.now < this.duration)
    this.isOver = true
    for (const machine of this.machines) machine.alive = false
    await this.finish()
    const next = this.machines.reduce((sum, { numbers }) => (Math.imul(sum, 31) + numbers.next()) >>> 0, this.random.next())
    return { ...this.counts, ...this.publishing?.counts ?? { publications: 0, reads: 0 }, requests: this.store.requests, clock: this.world.now, next }
  }

  private roles(): Role[] {
    const engine = (machine: Machine): Promise<void> => this.publishing!.read(machine, this.store.handle(machine))
    return [
      { name: 'main writer', pause: 500, body: (machine) => this.write(machine, 'main', this.clusters.get(1)!) },
      { name: 'fencer', pause: 25_000, body: (machine) => this.fence(machine) },
      { name: 'collector', pause: 3000, body: (machine) => this.collect(machine) },
      { name: 'second collector', pause: 8000, body: (machine) => this.collect(machine) },
      { name: 'reader', pause: 1000, body: (machine) => this.read(machine) },
      { name: 'lease reader', pause: 2000, body: (machine) => this.readLeased(machine) },
      { name: 'tagger', pause: 5000, body: (machine) => this.tag(machine) },
      { name: 'brancher', pause: 8000, body: (machine) => this.branch(machine) },
      { name: 'planner', pause: 12_000, body: (machine) => this.job(machine) },
      ...(this.publishing ? [
        { name: 'publisher', pause: 25_000, body: (machine: Machine) => this.publishApart(machine) },
        { name: 'engine', pause: 800, body: engine },
        { name: 'second engine', pause: 2000, body: engine },
      ] : []),
    ]
  }

  private async take(machine: Machine, branch: string): Promise<{ lake: Lake; writer: BranchWriter }> {
    const lake = await Lake.open(this.ports(machine))
    const writer = await BranchWriter.open(lake, branch, this.gather)
    this.counts.takeovers++
    this.epochs.set(branch, Math.max(writer.epoch, this.epochs.get(branch) ?? 0))
    this.checkDurable(branch, writer.head)
    return { lake, writer }
  }

  /** What was reported as durable is there. @param head was read after it was reported */
  private checkDurable(branch: string, head: Head, reported = this.durable.get(branch) ?? 0): void {
    check(lsnNumber(head.state.lsn) >= reported, `branch ${branch} is at LSN ${head.state.lsn}, and ${lsnText(reported)} was reported as durable`)
  }

  /** A commit of this writer, which nobody had fenced when it began. */
  private async committed(writer: BranchWriter, body: () => Promise<Head | undefined>): Promise<Head | undefined> {
    const epoch = this.epochs.get(writer.branch)!
    const head = await body()
    if (head === undefined) return undefined
    check(epoch <= writer.epoch, `the writer of epoch ${writer.epoch} committed to branch ${writer.branch} after epoch ${epoch} was opened`)
    this.counts.commits++
    return head
  }

  private async write(machine: Machine, branch: string, cluster: SimCluster): Promise<void> {
    const { lake, writer } = await this.take(machine, branch)
    const { numbers: random } = machine
    // A merge and a publication may be one commit.
    const merging = async (): Promise<never> => {
      for (;;) {
        await machine.clock.sleep(random.int(4000))
        if (await this.committed(writer, () => mergeOnce(lake, writer, random, this.padding))) this.counts.merges++
      }
    }
    const materializing = async (): Promise<never> => {
      for (;;) {
        await machine.clock.sleep(random.int(random.pick([100, 1000])))
        for (let steps = random.int(8); steps >= 0; steps--) cluster.step()
        if (this.isQuiet && branch === 'main') continue
        const head = await this.committed(writer, () => materializeOnce(lake, writer, cluster, this.padding))
        if (head) this.durable.set(branch, Math.max(lsnNumber(head.state.lsn), this.durable.get(branch) ?? 0))
        if (random.chance(25)) await this.publishing?.publish(lake, writer)
      }
    }
    await Promise.all([materializing(), merging()])
  }

  /** Opens the branch beside its writer, which must learn that it is fenced. */
  private async fence(machine: Machine): Promise<void> {
    await machine.clock.sleep(machine.numbers.int(10_000))
    const { lake, writer } = await this.take(machine, 'main')
    const head = await this.committed(writer, () => materializeOnce(lake, writer, this.clusters.get(1)!, this.padding))
    if (head) this.durable.set('main', Math.max(lsnNumber(head.state.lsn), this.durable.get('main') ?? 0))
  }

  /** As `ltap publish`: a process of its own, which fences the writer. */
  private async publishApart(machine: Machine): Promise<void> {
    await machine.clock.sleep(machine.numbers.int(10_000))
    const { lake, writer } = await this.take(machine, 'main')
    await this.publishing!.publish(lake, writer)
  }

  private async collect(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const { branch: { name }, state } = machine.numbers.pick([...(await registeredHeads(lake)).values()].filter((head) => head !== undefined))
    const time = Math.max(0, lsnNumber(state.lsn) - machine.numbers.int(400)) // A state's time is its LSN here.
    const wish = machine.numbers.pick([undefined, { lsn: lsnText(time) }, { lsn: lsnText(time) }, { time }])
    await retainStates(lake, wish, machine.numbers.pick([undefined, name]), machine.numbers.chance(10))
    await machine.clock.sleep(machine.numbers.int(500))
    const { dead, leftovers } = await collectGarbage(lake)
    this.counts.deleted += dead + leftovers
  }

  private async auditState(lake: Lake, branch: string, head: Head, state: Head['state']): Promise<void> {
    if (state.timeline === 0) return
    const missing = await audit(Snapshot.of(lake, head, state), this.clusters.get(state.timeline)!, lake.ports.store)
    this.counts.audits++
    if (missing === undefined) return
    const now = await lake.readHead(branch)
    if (now === undefined || now.head.dropped || now.head.branch.id !== head.branch.id) return
    const { states } = await lake.runHead(branch, retainedHere)
    check(!states.some(({ sequence }) => sequence === state.sequence), `state ${state.sequence} of branch ${branch} is retained, but: ${missing}`)
  }

  private async read(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const reported = new Map(this.durable)
    for (const head of (await registeredHeads(lake)).values()) {
      if (!head || head.dropped) continue
      this.checkDurable(head.branch.name, head, head.branch.name === 'main' ? reported.get('main') ?? 0 : 0)
      await this.auditState(lake, head.branch.name, head, head.state)
      const retained = await lake.runHead('main', retainedHere)
      await this.auditState(lake, 'main', retained.head, machine.numbers.pick(retained.states))
    }
  }

  private async auditRegistered(lake: Lake, { head, entry }: Registered, what: string): Promise<void> {
    if (entry.state.timeline === 0) return
    const missing = await audit(Snapshot.of(lake, head, entry.state), this.clusters.get(entry.state.timeline)!, lake.ports.store)
    this.counts.audits++
    if (missing === undefined) return
    const isOver = ((entry as Lease).until ?? Infinity) <= lake.ports.clock.now() && !(await lake.head('main')).leases.some(({ id }) => id === entry.id)
    check(isOver, `${what} pins state ${entry.state.sequence}, but: ${missing}`)
  }

  /** A foreign reader: slow, and with a snapshot that nobody else may need. */
  private async readLeased(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const { sequence } = machine.numbers.pick((await lake.runHead('main', retainedHere)).states)
    let lease: Registered
    try {
      const until = machine.numbers.chance(30) ? machine.clock.now() + machine.numbers.int(10_000) : undefined
      lease = await addReference(lake, 'main', 'leases', 'reader', machine.numbers.chance(50) ? 'newest' : { sequence }, undefined, until)
    } catch (error) {
      if (hasCode(error, 'lake.not-retained')) return
      throw error
    }
    for (let reads = 0; reads < 3; reads++) {
      await machine.clock.sleep(machine.numbers.int(6000))
      await this.auditRegistered(lake, lease, 'a lease')
    }
    await removeReference(lake, 'main', 'leases', lease.entry.id)
  }

  private async tag(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const { entry } = await addReference(lake, 'main', 'tags', `t${machine.random.nonce()}`, 'newest')
    this.tags.push({ branch: 'main', id: entry.id })
    await machine.clock.sleep(machine.numbers.int(10_000))
    const head = await lake.head('main')
    const found = head.tags.find(({ id }) => id === entry.id)
    check(found !== undefined, `tag ${entry.name} is gone`)
    await this.auditRegistered(lake, { head, entry: found }, `tag ${entry.name}`)
    if (machine.numbers.chance(30)) {
      this.tags.splice(this.tags.findIndex(({ id }) => id === entry.id), 1)
      await removeReference(lake, 'main', 'tags', entry.id)
    }
  }

  /** A branch with a server of its own, for a while. */
  private async branch(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const name = `b${machine.numbers.int(3)}`
    let head: Head
    try {
      head = await createBranch(lake, 'main', name, 'newest')
    } catch (error) {
      if (!hasCode(error, 'lake.name-taken')) throw error
      this.publishing?.deleted.add(name)
      await deleteBranch(lake, 'main', name)
      return
    }
    if (head.state.timeline === 0) return
    this.epochs.delete(name)
    this.durable.delete(name)
    this.publishing?.begin(name)
    const timeline = this.clusters.size + 1
    const parent = this.clusters.get(head.state.timeline)!
    const cluster = parent.fork(timeline, lsnNumber(head.state.lsn), this.world.random(`cluster ${timeline}`))
    this.clusters.set(timeline, cluster)
    const role: Role = { name: `${name} writer of timeline ${timeline}`, pause: 500, body: async (other) => {
      const found = await (await Lake.open(this.ports(other))).readHead(name)
      if (found?.head.branch.id === head.branch.id && !found.head.dropped) await this.write(other, name, cluster)
      else role.isOver = true
    } }
    this.keepRunning(role)
    await machine.clock.sleep(machine.numbers.int(20_000))
    if (machine.numbers.chance(70)) {
      this.publishing?.deleted.add(name)
      await deleteBranch(lake, 'main', name)
    }
  }

  /** A plan, units that run once or twice on machines that may crash, and their commit. */
  private async job(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    const cluster = this.clusters.get(1)!
    this.isQuiet = machine.numbers.chance(60)
    machine.onEnd = () => { this.isQuiet = false }
    const source = { systemIdentifier: lake.format.systemIdentifier, lsn: lsnText(cluster.lsn) }
    const { head, entry } = await addReference(lake, 'main', 'jobs', `j${machine.random.nonce()}`, 'newest', source)
    const to = cluster.lsn
    const from = lsnNumber(entry.state.lsn)
    const job = { branch: head.branch.id, id: entry.id, base: entry.state }
    const attempts = [0, 1].map((n) => this.attempt(machine, n, job, to))
    const results = (await Promise.all(attempts)).find((units) => units !== undefined)
    await machine.clock.sleep(machine.numbers.int(5000))
    if (results && to > from && !machine.numbers.chance(20)) {
      const { writer } = await this.take(machine, 'main')
      const position = { timeline: cluster.timeline, lsn: lsnText(to), time: to }
      try {
        const change = materialize({ from: entry.state, position, relations: results, others: othersBetween(cluster, from, to), job: entry.id })
        if (await this.committed(writer, () => writer.commit(change))) this.counts.jobs++
        this.durable.set('main', Math.max(to, this.durable.get('main') ?? 0))
        return
      } catch (error) {
        if (!hasCode(error, 'commit.stale', 'commit.past')) throw error
      }
    }
    await removeReference(lake, 'main', 'jobs', entry.id)
  }

  private async attempt(planner: Machine, n: number, job: Parameters<typeof makeUnits>[2], to: number): Promise<Awaited<ReturnType<typeof makeUnits>> | undefined> {
    const worker = this.machine(`${planner.name} worker ${n}`)
    const crashed = new Promise<undefined>((resolve) => { worker.onCrash = () => resolve(undefined) })
    const work = async (): Promise<Awaited<ReturnType<typeof makeUnits>>> => {
      const lake = await Lake.open(this.ports(worker))
      return await makeUnits(lake, this.clusters.get(1)!, job, to, this.padding)
    }
    const units = await Promise.race([work().catch((error: unknown) => {
      if (isExpected(error)) return undefined
      throw error
    }), crashed])
    worker.end()
    return units
  }

  /** A quiet end: everything that must be there is, and nothing else once gc ran. */
  private async finish(): Promise<void> {
    this.store.faults = NO_FAULTS
    const machine = this.machine('end')
    let isDone = false
    machine.spawn(async () => {
      await machine.clock.sleep(60_000)
      isDone = await this.finalChecks(machine).then(() => true)
    })
    await this.world.run(() => !isDone)
    check(isDone, 'the last checks wait for ever')
  }

  /** Whatever happened, the next publication shows each table as it is. */
  private async publishLast(machine: Machine, branch: string): Promise<void> {
    if (this.publishing === undefined) return
    const { lake, writer } = await this.take(machine, branch)
    const { head: { state } } = writer
    if (await this.publishing.publish(lake, writer)) await this.publishing.checkTables(this.store.handle(machine), branch, state)
  }

  private async finalChecks(machine: Machine): Promise<void> {
    const lake = await Lake.open(this.ports(machine))
    await collectGarbage(lake)
    const branches = [...(await registeredHeads(lake)).values()].filter((head) => head !== undefined).filter(({ dropped }) => !dropped)
    for (const { branch: { name } } of branches) {
      const { writer } = await this.take(machine, name)
      for (const state of await lake.pages.run(retainedStates(writer.head))) await this.auditState(lake, name, writer.head, state)
    }
    for (const { branch: { name } } of branches) await this.publishLast(machine, name)
    const main = await lake.head('main')
    for (const { id } of this.tags) {
      const entry = main.tags.find((tag) => tag.id === id)
      check(entry !== undefined, 'a tag is gone')
      await this.auditRegistered(lake, { head: main, entry }, `tag ${entry.name}`)
    }
    for (const kind of ['leases', 'jobs'] as const) for (const { id } of main[kind]) await removeReference(lake, 'main', kind, id)
    await keepStates(lake, 'main', 'newest')
    await collectGarbage(lake)
    const reached = new Set<string>()
    await reachAll(lake, (key) => reached.add(key))
    this.store.checkCollected(reached)
    const last = await lake.head('main')
    await this.auditState(lake, 'main', last, last.state)
    await this.publishing?.checkTables(this.store.handle(machine), 'main', last.state)
  }
}
