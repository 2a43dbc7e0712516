import { assert, EnvironmentError } from '../common/errors.ts'
import { type Change, type StagedCommit, stageCommit } from '../lake/state/commit.ts'
import { encodeHead, type Head } from '../lake/state/head.ts'
import { type MadeBy, madeByBoth } from '../lake/state/madeby.ts'
import { formatObjectName, partKey } from '../lake/state/names.ts'
import { raised, refuseDropped } from '../lake/state/registrations.ts'
import type { Lake, ReadHead } from './lake.ts'
import { putObjects } from './pagereader.ts'
import { useSince, useUntilNow } from './requestcounters.ts'

/** Uploads for one later commit: while it is open, no gc deletes an object that it named. */
export interface Work {
  readonly sequence: number
  /** Name of a new object, below any folder of the lake. */
  name(): string
  /** The work is given up: its objects are orphans. A commit of the work ends it, too, refused or not. */
  end(): void
}

interface Queued {
  readonly change: Change
  readonly work: Work | undefined
  readonly resolve: (head: Head) => void
  readonly reject: (error: unknown) => void
}

/** The one writer of a branch's layers, until another one is opened. */
export class BranchWriter {
  readonly branch: string
  readonly epoch: number
  /** HEAD as this writer read or wrote it last. */
  head: Head
  private readonly lake: Lake
  /** Nonce of this writer: another one may have tried to raise the same epoch. */
  private readonly writer: string
  private next: number
  private readonly inFlight = new Set<number>()
  private queue: Queued[] = []
  private running = false
  /** Set if it is not known whether this writer's last commit is in the lake: no further commit is made. */
  private failure: unknown
  /** True if HEAD of the commit that runs was sent. */
  private sent = false
  private readonly gather: number

  private constructor(lake: Lake, head: Head, writer: string, gather: number) {
    this.lake = lake
    this.branch = head.branch.name
    this.epoch = head.epoch
    this.head = head
    this.writer = writer
    this.next = head.low
    this.gather = gather
  }

  /**
   * Opens a branch for writing layers: raises its epoch, so that each other writer of it is fenced.
   * @param gather milliseconds that a commit waits for others that go with it, so that changes at a high rate need few writes of HEAD
   */
  static async open(lake: Lake, branch: string, gather = 0): Promise<BranchWriter> {
    const writer = lake.ports.random.nonce()
    const head = await lake.changeHead(branch, (found) => {
      refuseDropped(found)
      if (found.epochs.some((epoch) => epoch.writer === writer)) return undefined
      return raised(found, writer, lake.ports.random.nonce())
    })
    const opened = new BranchWriter(lake, head, writer, gather)
    if (head.epochs.at(-1)!.writer !== writer) throw opened.fenced(head)
    return opened
  }

  begin(): Work {
    const sequence = this.mint()
    return {
      sequence,
      name: () => {
        assert(this.inFlight.has(sequence), `an object of work ${sequence}, which is over`)
        return this.objectName(sequence)
      },
      end: () => this.inFlight.delete(sequence),
    }
  }

  /**
   * Commits a change; changes that wait at the same time are one commit. When this returns, the change is in the lake.
   * @param work under which the change's objects were uploaded
   * @returns HEAD with the change in it
   * @throws EnvironmentError commit.fenced, commit.unknown; what the change throws if the state does not fit it
   */
  commit(change: Change, work?: Work): Promise<Head> {
    return new Promise((resolve, reject) => {
      this.queue.push({ change, work, resolve, reject })
      if (!this.running) void this.drain()
    })
  }

  private async drain(): Promise<void> {
    this.running = true
    while (this.queue.length > 0) {
      if (this.gather > 0) await this.lake.ports.clock.sleep(this.gather)
      const group = this.queue
      this.queue = []
      await this.commitGroup(group)
    }
    this.running = false
  }

  private async commitGroup(group: readonly Queued[]): Promise<void> {
    const sequence = this.mint()
    this.sent = false
    try {
      if (this.failure !== undefined) throw this.failure
      const refused = await this.commitAs(sequence, group)
      for (const [i, { resolve, reject }] of group.entries()) {
        if (refused[i]) reject(refused[i])
        else resolve(this.head)
      }
    } catch (error) {
      // A HEAD that was sent may still arrive, so this writer makes no further commit: its works stay open, and `low` never passes them.
      if (this.sent) this.failure ??= error
      for (const { reject } of group) reject(error)
      if (this.failure !== undefined) return
    }
    this.inFlight.delete(sequence)
    for (const { work } of group) work?.end()
  }

  /**
   * One sequence, the same changes at each attempt: HEAD says by the sequence whether one of them is in the lake, so they may not differ in what they are.
   */
  private async commitAs(sequence: number, group: readonly Queued[]): Promise<StagedCommit['refused']> {
    let last: StagedCommit | undefined
    let used = this.lake.told
    for (let attempt = 0; ; attempt++) {
      const { head, token } = await this.readHead()
      const own = head.epochs.find(({ writer }) => writer === this.writer)
      if (own !== undefined && own.sequence >= sequence) {
        assert(last !== undefined, `HEAD of branch ${this.branch} has commit ${sequence} of this writer before it was tried`)
        this.head = head
        this.lake.told = used
        return last.refused
      }
      if (head.epoch !== this.epoch) throw this.failure = this.fenced(head)
      refuseDropped(head)
      try {
        last = await this.lake.pages.run(stageCommit(head, group.map(({ change }) => change), this.commitOf(sequence, group)))
      } catch (error) {
        if (!await this.lake.isOutdated(error, head)) throw error
        continue
      }
      if (last.head === undefined) return last.refused
      const { store } = this.lake.ports
      await putObjects(store, last.objects)
      used = useUntilNow(store.counters)
      const next = { ...last.head, state: { ...last.head.state, made: madeByBoth(last.head.state.made, this.madeBy(group, last.refused)) } }
      const bytes = encodeHead(next, this.lake.compressor)
      this.sent = true
      if (await this.lake.cas(this.branch).write(bytes, token) === 'written') {
        this.head = next
        this.lake.told = used
        return last.refused
      }
      await this.lake.pause(attempt, `commit ${sequence} to branch ${this.branch}`)
    }
  }

  private madeBy(group: readonly Queued[], refused: StagedCommit['refused']): MadeBy {
    const kinds = new Set(group.filter((_, i) => refused[i] === undefined).map(({ change: { kind = 'other' } }) => kind))
    return { kind: [...kinds].sort().join('+'), ...useSince(this.lake.ports.store.counters, this.lake.told) }
  }

  private commitOf(sequence: number, group: readonly Queued[]): Parameters<typeof stageCommit>[2] {
    const works = group.flatMap(({ work }) => work ? [work.sequence] : [])
    const others = [...this.inFlight].filter((other) => other !== sequence && !works.includes(other))
    const low = Math.min(sequence + 1, ...others)
    return { sequence, low, works, commit: this.lake.ports.random.nonce(), mint: () => partKey(this.objectName(sequence)), compressor: this.lake.compressor }
  }

  private async readHead(): Promise<ReadHead> {
    const found = await this.lake.readHead(this.branch)
    if (found === undefined) throw new EnvironmentError('lake.no-branch', `HEAD of branch ${this.branch} is gone from ${this.lake.ports.store.url}`)
    return found
  }

  private mint(): number {
    const sequence = this.next++
    this.inFlight.add(sequence)
    return sequence
  }

  private objectName(sequence: number): string {
    return formatObjectName({ branch: this.head.branch.id, epoch: this.epoch, sequence }, this.lake.ports.random.nonce())
  }

  private fenced(head: Head): EnvironmentError {
    return new EnvironmentError('commit.fenced',
      `another process opened branch ${this.branch} for writing (epoch ${head.epoch}, this one has ${this.epoch}): this one must not write any more`)
  }
}
