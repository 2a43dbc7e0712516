import { readU32 } from '../../common/bytes.ts'
import { BlockSet } from '../../common/blockset.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { parseLsn, walPosition } from '../../common/ids.ts'
import { registeredHeads } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import { readOutcomes } from '../../engine/outcomes.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { openRows, rowsNotShown } from '../../lake/rowsnotshown.ts'
import { isLogKey } from '../../lake/publishedentry.ts'
import { isDataFile } from '../../lake/tablefolder.ts'
import { fileId, isPacked, type LayerFile } from '../../lake/layer.ts'
import type { Head } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { olderStates, retainedStates } from '../../lake/state/registrations.ts'
import type { KeepWish } from '../../lake/state/retention.ts'
import { objectsOf } from '../../lake/state/objects.ts'
import { STATE_TREES, type StateRoot } from '../../lake/state/stateroot.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpOff } from '../../page/linepointer.ts'
import { T_XMIN } from '../../tuple/header.ts'
import { rebuildFilePages } from './filepages.ts'
import { keepWishOf } from './keepwish.ts'
import { filesOf, readBlockIndex } from './layerfiles.ts'
import { openLayeredLake } from './openlake.ts'
import { StateManifest } from './statemanifest.ts'
import { type StateSummary, summaryOf } from './statesummary.ts'
import { type StrayObject, strayObjects } from './strayobjects.ts'

/** What removes the bytes of a row from an object: letting the states go that keep it; a merge, then gc; VACUUM in the source, then transcode, merge and gc. */
export type ErasedBy = 'gc' | 'merge' | 'vacuum'

/** An object that still has bytes of rows that were deleted or replaced. */
export interface HoldingObject {
  object: string
  /** Oid of the database, and the table. */
  dbOid: number
  relation: string
  /** Row versions in it that no state at or behind the point shows, and blocks that they are in. */
  rows: number
  blocks: number
  /** `state 16/B374D848`, `tag release`, `lease report`, `branch other`, `job …`. */
  keptBy: string[]
  erasedBy: ErasedBy
}

export interface BranchErasure {
  branch: string
  /** The first state at or behind the point: a row that it or a later state shows was not deleted before. */
  from: StateSummary
  /** The newest state of the branch is before the point: what was deleted since is not in the lake. */
  isBehind: boolean
  holding: HoldingObject[]
}

export interface ErasureReport {
  url: string
  /** The point, as it was given. */
  before: string
  /** No retained object has bytes of rows that were deleted before. */
  erased: boolean
  /** Files of layers that were looked at, each with all its rows. */
  files: number
  branches: BranchErasure[]
  /** Objects that no state needs as they are, and that may have bytes of rows, if only the bounds of a column. */
  stray: StrayObject[]
}

export interface ErasureOptions {
  /** URL or folder of the lake. */
  lake: string
  /** An LSN, a time, or a duration back from now. */
  before: string
}

/**
 * Which retained objects still have bytes of rows deleted or replaced before a point. Nothing is written; each file of a relation with such rows is read.
 * @throws EnvironmentError lake.*, store.*; CorruptionError, UnsupportedError lake.*
 */
export async function reportErasure({ lake: place, before }: ErasureOptions): Promise<ErasureReport> {
  const lake = await openLayeredLake(place)
  const point = keepWishOf(before, lake.ports.clock.now())
  const seen: Seen = { known: new Set(), files: new Set(), packs: new Map() }
  const branches: BranchErasure[] = []
  for (const head of (await registeredHeads(lake)).values()) {
    if (head && !head.dropped && head.state.sequence > 0) branches.push(await new BranchReport(lake, head, seen).run(point))
  }
  const holding = new Set(branches.flatMap((found) => found.holding.map(({ object }) => object)))
  const stray = await strayObjects(lake, { ...seen, holding })
  return { url: lake.ports.store.url, before, erased: holding.size === 0 && stray.length === 0, files: seen.files.size, branches, stray }
}

/** What the states of all branches have. */
interface Seen {
  readonly known: Set<string>
  /** Files with rows: those of layers, and those of relations in packs. */
  readonly files: Set<string>
  readonly packs: Map<string, Set<number>>
}

/** A state that is retained, and what keeps it. */
interface Kept {
  readonly state: StateRoot
  readonly by: string
}

/** A file of a relation in all states that have it. */
interface FoundFile {
  readonly file: LayerFile
  /** Rows that a state at or behind the point shows, or may show once their transaction has ended. */
  live: BlockSet
  readonly keptBy: Set<string>
}

class BranchReport {
  private readonly lake: Lake
  private readonly head: Head
  private readonly seen: Seen

  constructor(lake: Lake, head: Head, seen: Seen) {
    this.lake = lake
    this.head = head
    this.seen = seen
  }

  async run(point: KeepWish): Promise<BranchErasure> {
    const { lake, head } = this
    const own = (await lake.pages.run(retainedStates(head))).filter(({ sequence }) => sequence > 0)
    const { from, isBehind } = this.firstBehind(own, point)
    const { manifest: { checksums, systemIdentifier } } = await StateManifest.read(lake, Snapshot.of(lake, head, head.state))
    const kept = await this.kept(own)
    const keys = new Set<string>()
    for (const { state } of kept) {
      const snapshot = Snapshot.of(lake, head, state)
      for (const tree of STATE_TREES) {
        await snapshot.scan(tree, (key, value) => {
          if (tree === 'layers') keys.add(key)
          // Snapshots of a published table may need data files that no state shows: these are no part of what the states have.
          // Files of a log have no rows of tables.
          for (const object of objectsOf({ tree, key }, value)) if (tree !== 'published' || !isDataFile(object) || isLogKey(key)) this.seen.known.add(object)
        })
      }
    }
    const holding: HoldingObject[] = []
    for (const key of keys) holding.push(...await this.relation(key, kept, from, { checksums, systemIdentifier }))
    return { branch: head.branch.name, from: summaryOf(from), isBehind, holding }
  }

  private firstBehind(states: readonly StateRoot[], point: KeepWish): { from: StateRoot; isBehind: boolean } {
    const isAtOrBehind = (state: StateRoot): boolean =>
      'lsn' in point ? parseLsn(state.lsn)! >= parseLsn(point.lsn)! : state.time !== undefined && state.time >= point.time
    const from = states.find(isAtOrBehind)
    const newest = states.at(-1)!
    if (from === undefined && this.head.branch.name === MAIN_BRANCH) {
      throw new EnvironmentError('lake.no-state',
        `the lake in ${this.lake.ports.store.url} has no state at or behind that point, its newest one is at LSN ${newest.lsn}: ` +
          'transcode the cluster as it is now, then ask again')
    }
    return { from: from ?? newest, isBehind: from === undefined }
  }

  private async kept(own: readonly StateRoot[]): Promise<Kept[]> {
    const { branches, tags, leases, jobs } = this.head
    const older = await this.lake.pages.run(olderStates(this.head))
    const states = new Map([...older, ...own].map((state) => [state.sequence, state]))
    return [
      ...[...states.values()].map((state): Kept => ({ state, by: `state ${state.lsn}` })),
      ...tags.map(({ name, state }): Kept => ({ state, by: `tag ${name}` })),
      ...leases.map(({ name, state }): Kept => ({ state, by: `lease ${name}` })), ...branches.map(({ name, state }): Kept => ({ state, by: `branch ${name}` })),
      ...jobs.map(({ name, state }): Kept => ({ state, by: `job ${name}` })),
    ].filter(({ state }) => state.sequence > 0)
  }

  private async relation(
    key: string, kept: readonly Kept[], from: StateRoot, { checksums, systemIdentifier }: { checksums: boolean; systemIdentifier: string },
  ): Promise<HoldingObject[]> {
    const { lake, head } = this
    const found = new Map<string, FoundFile>()
    let newest: StateRelation | undefined
    let last: StateRelation | undefined
    for (const { state, by } of kept) {
      const snapshot = Snapshot.of(lake, head, state)
      const [value] = await snapshot.get([{ tree: 'layers', key }])
      if (value === undefined) continue
      const relation = last = parseStateRelation(key, value)
      if (state.sequence === head.state.sequence) newest = relation
      for (const { file, current } of filesOf(relation, systemIdentifier)) {
        const id = fileId(file)
        this.see(file, id)
        const entry = found.get(id) ?? { file, live: BlockSet.EMPTY, keptBy: new Set<string>() }
        found.set(id, entry)
        entry.keptBy.add(by)
        if (state.sequence >= from.sequence && current.size > 0) entry.live = entry.live.union(await this.liveRows(snapshot, file, current))
      }
    }
    if (last === undefined) return []
    const dead = await this.deadRows([...found.values()], checksums)
    const { locator: { dbOid }, info: { schema, name } } = last
    const currentNow = new Map(newest === undefined ? [] : filesOf(newest, systemIdentifier).map(({ file, current }) => [fileId(file), current]))
    return [...dead].map(([{ file, keptBy }, rows]) => {
      const current = currentNow.get(fileId(file))
      const isVisibleBlock = current !== undefined && [...rows.keys()].some((block) => current.has(block))
      return {
        object: file.key, dbOid, relation: `${schema}.${name}`, rows: [...rows.values()].reduce((sum, { size }) => sum + size, 0), blocks: rows.size,
        keptBy: [...keptBy], erasedBy: current === undefined ? 'gc' : isVisibleBlock ? 'vacuum' : 'merge',
      }
    })
  }

  private see(file: LayerFile, id: string): void {
    this.seen.files.add(id)
    if (!isPacked(file)) return
    const starts = this.seen.packs.get(file.key) ?? new Set()
    this.seen.packs.set(file.key, starts.add(file.pack.start))
  }

  /** Rows of the current blocks that a reader of the state sees, or may see later: their transaction has not ended. */
  private async liveRows(snapshot: Snapshot, file: LayerFile, current: BlockSet): Promise<BlockSet> {
    const { index } = await readBlockIndex(this.lake.ports.store, file)
    const inState = { index, current }
    const open = openRows(inState)
    const outcomes = await readOutcomes(snapshot, open.map(({ xid }) => xid))
    const hidden = rowsNotShown(inState, true, outcomes, walPosition(parseLsn(snapshot.state.lsn)!))
    const waiting = open.filter(({ which, xid }) => which === 'xmin' && outcomes.find(xid) === undefined)
    return BlockSet.range(0, file.rows).subtract(hidden).union(BlockSet.ofRuns(waiting))
  }

  /** Row versions with bytes that are live in no file of the relation: of each file, by block. */
  private async deadRows(files: readonly FoundFile[], checksums: boolean): Promise<Map<FoundFile, Map<number, Set<number>>>> {
    const dead = new Map<FoundFile, Map<number, Set<number>>>()
    for (const found of files) {
      if (found.live.size === found.file.rows) continue
      const rows = await this.rowVersions(found.file, checksums, (row) => !found.live.has(row))
      if (rows.size > 0) dead.set(found, rows)
    }
    const suspects = BlockSet.of([...new Set([...dead.values()].flatMap((rows) => [...rows.keys()]))].sort((a, b) => a - b))
    // A version is not deleted if a newer copy of its block has it, at the same place and of the same transaction.
    for (const { file, live } of dead.size === 0 ? [] : files) {
      if (live.size === 0 || file.blocks.intersect(suspects).size === 0) continue
      const alive = await this.rowVersions(file, checksums, (row) => live.has(row))
      for (const [found, rows] of dead) {
        for (const [block, versions] of rows) {
          for (const version of alive.get(block) ?? []) versions.delete(version)
          if (versions.size === 0) rows.delete(block)
        }
        if (rows.size === 0) dead.delete(found)
      }
    }
    return dead
  }

  /** Those of the rows that have a tuple, as offset number and xmin in one number, by block. A damaged page counts as one. */
  private async rowVersions(file: LayerFile, checksums: boolean, wanted: (row: number) => boolean): Promise<Map<number, Set<number>>> {
    const { index: { damaged } } = await readBlockIndex(this.lake.ports.store, file)
    const found = new Map<number, Set<number>>()
    await rebuildFilePages(this.lake.ports.store, file, checksums, (block, page, _, firstRow) => {
      const versions = damaged.has(block) ? new Set([-1]) : new Set<number>()
      const count = damaged.has(block) ? 0 : linePointerCount(page)
      for (let offset = 1; offset <= count; offset++) {
        const word = linePointer(page, offset)
        if (lpFlags(word) === LP_NORMAL && wanted(firstRow + offset - 1)) versions.add(offset * 2 ** 32 + readU32(page, lpOff(word) + T_XMIN))
      }
      if (versions.size > 0) found.set(block, versions)
    })
    return found
  }
}
