/** A lake of many relations in a store in memory, of which some change: no data, but each commit as it is. */
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { useSince, useUntilNow } from '../../src/engine/requestcounters.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import type { StoreUse } from '../../src/lake/state/madeby.ts'
import { relationKey } from '../../src/lake/state/relationlayers.ts'
import { lsnText } from '../sim/simcluster.ts'
import type { Random } from './random.ts'

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

export class WideLake {
  readonly store: MemoryObjectStore
  private readonly ports: Parameters<typeof Lake.open>[0]
  private readonly writer: BranchWriter
  private lsn = 1_000_000

  private constructor(store: MemoryObjectStore, ports: Parameters<typeof Lake.open>[0], writer: BranchWriter) {
    this.store = store
    this.ports = ports
    this.writer = writer
  }

  static async make(random: Random): Promise<WideLake> {
    const store = new MemoryObjectStore({ now: () => 0 })
    const ports = {
      store, clock: { now: () => 0, sleep: () => Promise.resolve() },
      random: { nonce: () => Array.from({ length: 20 }, () => DIGITS[random.int(36)]).join(''), fraction: () => 0 },
    }
    const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-match' })
    return new WideLake(store, ports, await BranchWriter.open(lake, 'main'))
  }

  /** What `body` asks the store for. */
  async of(body: () => Promise<unknown>): Promise<StoreUse> {
    const { counters } = this.store
    const before = useUntilNow(counters)
    await body()
    return useSince(counters, before)
  }

  /** One commit with a layer more of each of these relations. */
  async change(indexes: Iterable<number>): Promise<StoreUse> {
    const { writer } = this
    const from = writer.head.state
    const work = writer.begin()
    this.lsn += 8
    const layerOf = (i: number): Parameters<typeof materialize>[0]['relations'][number] => ({
      relation: relation(i), layer: {
        lsn: lsnText(this.lsn), smallest: 100, length: 120, files: [{ key: `shop/public.t-${i}/data/${work.name()}.parquet`, rows: 100, bytes: 8192, crc: 77 }],
      },
    })
    const relations = [...indexes].map(layerOf)
    return await this.of(() => writer.commit(materialize({ from, position: { timeline: 1, lsn: lsnText(this.lsn) }, relations, others: [] }), work))
  }

  /** As another process opens it. */
  async open(): Promise<Snapshot> {
    return await Snapshot.open(await Lake.open(this.ports), 'main')
  }

  async openRelation(i: number): Promise<unknown> {
    return (await this.open()).get([relation(i)])
  }

  async headBytes(): Promise<number> {
    return (await this.store.head('ltap/branches/main/HEAD'))!.size
  }
}

function relation(i: number): ReturnType<typeof relationKey> {
  return relationKey({ spcOid: 1663, dbOid: 5, relNumber: 16384 + i }, lsnText(8 * i + 8))
}
