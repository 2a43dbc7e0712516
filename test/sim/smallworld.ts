import { collectGarbage, reachAll, registeredHeads } from '../../src/engine/collect.ts'
import { Lake, type LakePorts } from '../../src/engine/lake.ts'
import { keepStates } from '../../src/engine/references.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import type { CasKind } from '../../src/lake/state/format.ts'
import { parseObjectName } from '../../src/lake/state/names.ts'
import { retainedStates } from '../../src/lake/state/registrations.ts'
import { lsnNumber, SimCluster } from './simcluster.ts'
import { audit } from './simreader.ts'
import { SimPublishing } from './simpublishing.ts'
import { NO_FAULTS, SimStore } from './simstore.ts'
import { materializeOnce, mergeOnce } from './simwriter.ts'
import { check, Machine, World } from './world.ts'

/** A lake with a few states, for cases that are enumerated: nothing fails by chance. */
export class SmallWorld {
  readonly world = new World(1)
  readonly store = new SimStore(this.world, NO_FAULTS)
  readonly cluster = new SimCluster(1, this.world.random('cluster'), 2, 2)
  /** By the branch `main`. */
  durable = 0
  /** Of a lake that is published. */
  publishing: SimPublishing | undefined

  /** A lake with `states` states, whose writer is still there. */
  static async make(cas: CasKind, states = 3): Promise<{ small: SmallWorld; lake: Lake; writer: BranchWriter; machine: Machine }> {
    const small = new SmallWorld()
    const machine = new Machine(small.world, 'first')
    const opened = await small.finish(machine, async () => {
      const lake = await Lake.create(small.ports(machine), { systemIdentifier: '7000000000000000001', profile: 'portable', cas })
      const writer = await BranchWriter.open(lake, 'main')
      for (let i = 0; i < states; i++) await small.materialize(lake, writer)
      return { lake, writer }
    })
    return { small, ...opened, machine }
  }

  ports(machine: Machine): LakePorts {
    return { store: this.store.handle(machine), clock: machine.clock, random: machine.random, compressor: this.world.compressor }
  }

  async lake(machine: Machine): Promise<Lake> {
    return await Lake.open(this.ports(machine))
  }

  /** Goes on until `body` has ended. */
  async finish<T>(machine: Machine, body: () => Promise<T>): Promise<T> {
    let result: { value: T } | undefined
    machine.spawn(async () => { result = { value: await body() } })
    await this.world.run(() => result === undefined)
    check(result !== undefined, `${machine.name} waits for ever`)
    return result.value
  }

  async materialize(lake: Lake, writer: BranchWriter): Promise<void> {
    const before = this.cluster.lsn
    while (this.cluster.lsn < before + 40) this.cluster.step()
    const head = await materializeOnce(lake, writer, this.cluster, 0)
    this.durable = Math.max(this.durable, lsnNumber(head!.state.lsn))
  }

  async publish(lake: Lake, writer: BranchWriter): Promise<void> {
    this.publishing ??= new SimPublishing(this.world, this.store, new Map([[1, this.cluster]]), { window: { snapshots: 2, ms: 3_600_000 } })
    await this.publishing.publish(lake, writer)
  }

  /** Another process opens the lake after whatever happened: everything is there, the work goes on, and gc leaves what is needed and nothing else. */
  async recover(): Promise<void> {
    const machine = new Machine(this.world, 'recovery')
    await this.finish(machine, async () => {
      const lake = await this.lake(machine)
      await this.auditAll(lake)
      const writer = await BranchWriter.open(lake, 'main')
      const { state } = writer.head
      if (await this.publishing?.publish(lake, writer)) await this.publishing!.checkTables(this.store.handle(machine), 'main', state)
      await this.materialize(lake, writer)
      await mergeOnce(lake, writer, machine.numbers, 0)
      await collectGarbage(lake)
      await this.auditAll(lake)
      const newest = writer.head.state
      if (await this.publishing?.publish(lake, writer)) await this.publishing!.checkTables(this.store.handle(machine), 'main', newest)
      await keepStates(lake, 'main', 'newest')
      await collectGarbage(lake)
      await this.auditAll(lake)
      if (this.publishing) await this.publishing.checkTables(this.store.handle(machine), 'main', newest)
      const reached = new Set<string>()
      await reachAll(lake, (key) => reached.add(key))
      const jobs = writer.head.jobs.length
      const uploads = [...this.store.uploads.values()].map(({ key }) => key)
      for (const key of [...this.store.objects.keys(), ...uploads]) {
        const name = parseObjectName(key)
        check(!name || reached.has(key) || 'job' in name && jobs > 0, `${key} is referred to by nothing, and gc leaves it`)
      }
    })
  }

  /** Each state that a branch retains or a root pins. */
  private async auditAll(lake: Lake): Promise<void> {
    const heads = await registeredHeads(lake)
    check(lsnNumber([...heads.values()][0]!.state.lsn) >= this.durable, `what was reported as durable is lost: the lake is at ${[...heads.values()][0]!.state.lsn}`)
    for (const head of heads.values()) {
      if (!head || head.dropped) continue
      const pinned = [head.branches, head.tags, head.leases, head.jobs].flat().map(({ state }) => state)
      for (const state of [...await lake.pages.run(retainedStates(head)), ...pinned]) {
        if (state.timeline === 0) continue
        const missing = await audit(Snapshot.of(lake, head, state), this.cluster, lake.ports.store)
        check(missing === undefined, `state ${state.sequence} of branch ${head.branch.name}: ${missing}`)
      }
    }
  }
}
