import type { Lake } from '../engine/lake.ts'
import { type LakePoint, stateAt } from '../engine/lakepoint.ts'
import { Snapshot } from '../engine/snapshot.ts'
import type { IcebergRecord } from '../lake/iceberg/record.ts'
import type { Head } from '../lake/state/head.ts'
import { KeptBytes } from './keptbytes.ts'
import { checkPublished, checkWhole, PublishedTables } from './publishedtables.ts'
import type { Pinned } from './warehouse.ts'

/** HEAD is read again for the first request after so long. */
const HEAD_AGE_MAX_MS = 1000
/** Pinned states whose names are in memory. */
const PINNED_MAX = 4
const RECORD_BYTES_MAX = 64 << 20

interface Resolved {
  readonly commit: string
  readonly tables: PublishedTables
}

/** The states of a branch that are asked for: the newest one as it is now, and those that warehouses pin. */
export class States {
  readonly lake: Lake
  private readonly branch: string
  private readonly root: string
  private readonly records = new KeptBytes<IcebergRecord>(RECORD_BYTES_MAX)
  private readMs = -Infinity
  private head: Promise<Head> | undefined
  /** By what was asked for; the last used one last. */
  private readonly resolved = new Map<string, Promise<Resolved>>()

  /** @param root URI by which engines find the lake */
  constructor(lake: Lake, branch: string, root: string) {
    this.lake = lake
    this.root = root
    this.branch = branch
  }

  /**
   * @throws EnvironmentError catalog.unpublished, catalog.moved, catalog.not-published, lake.no-branch, lake.no-state, lake.no-tag, lake.empty, store.*;
   * CorruptionError, UnsupportedError lake.*
   */
  async at(pinned: Pinned): Promise<PublishedTables> {
    const tables = await this.tablesAt(pinned)
    checkPublished(tables.settings, this.root, this.lake.ports.store)
    if (pinned !== undefined) checkWhole(tables.settings, tables.snapshot.state)
    return tables
  }

  private async tablesAt(pinned: Pinned): Promise<PublishedTables> {
    const id = pinned === undefined ? 'newest' : JSON.stringify(pinned)
    const head = await this.currentHead()
    const before = this.resolved.get(id)
    if (before !== undefined && (await before.catch(() => undefined))?.commit === head.commit) return (await before).tables
    const now = this.resolve(head, pinned ?? 'newest', await before?.catch(() => undefined))
    this.resolved.delete(id)
    this.resolved.set(id, now)
    for (const oldest of this.resolved.keys()) {
      if (this.resolved.size <= PINNED_MAX + 1) break
      if (oldest !== 'newest') this.resolved.delete(oldest)
    }
    return (await now).tables
  }

  /** LSN of the state that is meant. @throws EnvironmentError lake.no-state, lake.no-tag */
  async lsnOf(point: LakePoint): Promise<string> {
    return (await this.lake.pages.run(stateAt(await this.currentHead(), point))).lsn
  }

  /** Whether there is a tag of the name. */
  async hasTag(name: string): Promise<boolean> {
    return (await this.currentHead()).tags.some((tag) => tag.name === name)
  }

  /** The next request reads HEAD. */
  forget(): void {
    this.head = undefined
  }

  private async currentHead(): Promise<Head> {
    const now = this.lake.ports.clock.now()
    if (this.head === undefined || now - this.readMs >= HEAD_AGE_MAX_MS || now < this.readMs) {
      this.readMs = now
      this.head = this.lake.head(this.branch)
    }
    const { head } = this
    try {
      return await head
    } catch (error) {
      if (this.head === head) this.head = undefined
      throw error
    }
  }

  private async resolve(head: Head, point: LakePoint, before: Resolved | undefined): Promise<Resolved> {
    const snapshot = Snapshot.of(this.lake, head, await this.lake.pages.run(stateAt(head, point)))
    // Many changes of HEAD make no new state: a tag, a lease, another writer.
    const isSame = before?.tables.snapshot.state.sequence === snapshot.state.sequence
    const tables = isSame ? before!.tables.withSnapshot(snapshot) : await PublishedTables.read(this.lake, snapshot, head.branch.id, this.records)
    return { commit: head.commit, tables }
  }
}
