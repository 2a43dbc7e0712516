import type { Clock } from '../../common/clock.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { Lake } from '../../engine/lake.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { findJob, objectFault } from '../../engine/openjob.ts'
import type { Random } from '../../engine/random.ts'
import { unneededTransactions } from '../../engine/prunetransactions.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { BranchWriter } from '../../engine/writer.ts'
import { systemClock } from '../../io/process/clock.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { systemRandom } from '../../io/process/systemrandom.ts'
import { catalogEdit, parseCatalogEntry } from '../../lake/clusterinfo.ts'
import { type Attempt, type Attempts, type Chosen, chooseFiles, chosenChange, objectsOfFile, parseAttempt, sumLanes } from '../../lake/job/choose.ts'
import { identityOf, type JobIdentity } from '../../lake/job/identity.ts'
import { decodePlan, decodeRecords, type JobPlan, type PlannedChange, type PlanRecord } from '../../lake/job/plan.ts'
import { parseFiles, type FileResult, type UnitResult } from '../../lake/job/result.ts'
import type { PlannedUnit, RelationOverflow, Unit } from '../../lake/job/unit.ts'
import type { NotRead } from '../../lake/notread.ts'
import { encodeDescription, parseRelationInfo, relationInfoJson } from '../../lake/relationinfo.ts'
import { materialize, type RelationChange } from '../../lake/state/changes.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import type { OpenJob } from '../../lake/state/head.ts'
import type { StoreUse } from '../../lake/state/madeby.ts'
import { partKey } from '../../lake/state/names.ts'
import type { StateRoot } from '../../lake/state/stateroot.ts'
import { catalogEdits, type CatalogValue } from '../materialize/catalogentries.ts'
import { PartWriter } from '../materialize/partwriter.ts'
import { PreviousState } from '../materialize/previousstate.ts'
import type { WrittenRelations } from '../materialize/relationwriter.ts'
import { openEdits } from '../materialize/statusedits.ts'
import { lakeRelationName } from '../lake.ts'
import { readObject } from '../tasks/lakeobject.ts'
import { LTAP_VERSION } from '../version.ts'
import { type Publication, publishAfter } from '../publish/publishnewest.ts'
import { checkLake, readPiece } from './jobcontext.ts'
import { type JobResults, type ReadResults, readResults } from './readresults.ts'

export interface CommitJobOptions {
  /** Lines that `workUnits` gave, in any order; some may be there twice, or be cut. */
  lines: AsyncIterable<string> | Iterable<string>
  openStore: (url: string) => Promise<ObjectStore>
  /** Where the lake is on this machine, if not where the job was planned. */
  lake?: string
  /** Id of the job, if there are results of several. */
  job?: string
  clock?: Clock
  random?: Random
  /** Told of each line that is of no use, as a sentence. */
  onRemark?: (text: string) => void
}

/** What became of the relations, in sum. */
export type CommittedRelations = Omit<WrittenRelations, 'compared' | 'notShown' | 'partialBlocks' | 'virtualColumns' | 'notPopulated'>

/** The commit of a job. */
export interface CommittedJob extends Publication {
  done: 'committed'
  lsn: string
  /** Where the lake was before; null for a new one. */
  from: string | null
  timeline: number
  counts: CommittedRelations
  notRead: readonly NotRead[]
  damage: readonly string[]
}

/** What became of a job: its commit, one that was there before, or what it still lacks. */
export type CommitReport = { url: string; job: string } & (
  | CommittedJob
  /** Another commit of the same job came first. */
  | { done: 'before'; lsn: string }
  /** Nothing was committed: these units must be done, or done again. */
  | { done: 'no'; units: readonly Unit[] })

/**
 * Makes the one commit of an open job out of its units' results.
 * @throws EnvironmentError commit.job-gone, commit.stale if the lake has a newer state than the plan, job.*, lake.*, store.*; CorruptionError job.plan
 */
export async function commitJob(options: CommitJobOptions): Promise<CommitReport> {
  const { jobs, remarks } = await readResults(options.lines)
  for (const remark of remarks) options.onRemark?.(remark)
  const { identity, results } = chosenJob(jobs, options)
  const { clock = systemClock, random = systemRandom } = options
  const store = await options.openStore(options.lake ?? identity.lake)
  const lake = await Lake.open({ store, clock, random })
  checkLake(lake, identity)
  const { head, ...found } = await findJob(lake, identity.branch, identity.job)
  const about = { url: store.url, job: identity.job }
  if ('state' in found) return { ...about, done: 'before', lsn: found.state.lsn }
  const { job } = found
  refuseStale(head.state, job)
  const plan = await readPlan(lake, job)
  for (const use of usesOf(plan, results)) store.counters.add(use)
  const committer = new Committer(lake, identity, { job, plan, before: Snapshot.of(lake, head, job.state) }, options)
  return { ...about, ...await committer.run(results) }
}

function chosenJob(jobs: ReadResults['jobs'], { job, onRemark }: CommitJobOptions): JobResults {
  const ids = [...jobs.keys()]
  for (const id of ids) if (job !== undefined && id !== job) onRemark?.(`${jobs.get(id)!.results.length} results are of job ${id}: they are not used`)
  const found = jobs.get(job ?? ids[0] ?? '')
  if (found === undefined) {
    throw new EnvironmentError('job.no-results', `no line is a result${job === undefined ? '' : ` of job ${job}`}: give the output of ltap work`)
  }
  if (job === undefined && ids.length > 1) {
    throw new EnvironmentError('job.mixed', `there are results of several jobs: name one of them with --job: ${ids.join(', ')}`)
  }
  return found
}

/** What planning and the workers asked of the store: each line counts once. */
function usesOf({ used }: JobPlan, results: readonly UnitResult[]): StoreUse[] {
  const lines = new Map(results.map((result) => [JSON.stringify(result), result.used]))
  return [used, ...lines.values()].filter((use) => use !== undefined)
}

/** The commit itself checks it once more; here it is found before the objects are read, and no other writer is fenced for nothing. */
function refuseStale({ lsn, timeline }: StateRoot, { id, state }: OpenJob): void {
  if (lsn === state.lsn && timeline === state.timeline) return
  throw new EnvironmentError('commit.stale',
    `the lake is at LSN ${lsn} now, and job ${id} was planned when it was at LSN ${state.lsn}: drop the job, and plan again`)
}

async function readPlan(lake: Lake, { id, name, plan }: OpenJob): Promise<JobPlan> {
  if (plan === undefined) throw new EnvironmentError('job.unplanned', `job ${id} (${name}) was never planned to its end: drop it, and plan again`)
  return decodePlan(await readObject(lake.ports.store, plan), plan, lake.compressor, LTAP_VERSION)
}

class Committer {
  private readonly lake: Lake
  private readonly identity: JobIdentity
  private readonly job: OpenJob
  private readonly plan: JobPlan
  private readonly snapshot: Snapshot
  private readonly options: CommitJobOptions
  private readonly units: PlannedUnit[] = []
  private readonly relations: { number: number; change: PlannedChange }[] = []
  private readonly edits: (EntryKey & { value?: unknown })[] = []
  private readonly catalog: CatalogValue[] = []
  private readonly notRead: NotRead[] = []
  /** Bytes of packs, by key. */
  private readonly packs = new Map<string, number>()

  constructor(lake: Lake, identity: JobIdentity, { job, plan, before }: { job: OpenJob; plan: JobPlan; before: Snapshot }, options: CommitJobOptions) {
    this.lake = lake
    this.identity = identity
    this.job = job
    this.plan = plan
    this.snapshot = before
    this.options = options
  }

  async run(results: readonly UnitResult[]): Promise<CommittedJob | { done: 'no'; units: readonly Unit[] }> {
    for (const ref of this.plan.records) {
      for (const record of decodeRecords(await readPiece(this.lake.ports.store, ref), ref, this.lake.compressor)) this.record(record)
    }
    const attempts = await this.attempts(results)
    const chosen = this.relations.map(({ number, change }) => ({ change, chosen: chooseFiles(change, number, attempts) }))
    const open = new Map(this.units.filter(({ unit }) => !attempts.has(unit)).map(({ unit }) => [unit, []] as [number, RelationOverflow[]]))
    for (const { chosen: { kind, ...what } } of chosen) {
      if (kind !== 'open') continue
      for (const { unit, overflow } of (what as Chosen & { kind: 'open' }).units) open.set(unit, [...open.get(unit) ?? [], ...overflow ? [overflow] : []])
    }
    if (open.size > 0) return { done: 'no', units: this.openUnits(open) }
    return await this.commit(chosen)
  }

  private record(record: PlanRecord): void {
    if (record.kind === 'unit') this.units.push(record.unit)
    else if (record.kind === 'relation') this.relations.push(record)
    else if (record.kind === 'edit') this.edits.push(record.edit)
    else if (record.kind === 'notread') this.notRead.push(record.notRead)
    else this.catalog.push({ tree: 'catalog', key: record.key, value: record.value })
  }

  /** Attempts whose objects are all there, as they were written. One that is not counts as never made. */
  private async attempts(results: readonly UnitResult[]): Promise<Attempts> {
    const found = new Map<number, Attempt[]>()
    const isSound = new Map<string, boolean>()
    for (const result of results) {
      if (result.error || result.unit >= this.plan.units) continue
      const id = JSON.stringify(result)
      if (isSound.has(id)) continue
      const attempt = await this.attempt(result)
      isSound.set(id, attempt !== undefined)
      if (attempt) found.set(result.unit, [...found.get(result.unit) ?? [], attempt])
    }
    return found
  }

  private async attempt({ unit, files, packs = [], object }: UnitResult): Promise<Attempt | undefined> {
    const { store } = this.lake.ports
    try {
      const found = files ?? (object === undefined ? [] : parseFiles(await readObject(store, object), `the object ${object.key}`))
      const attempt = parseAttempt(found, packs, this.job.id)
      for (const reference of [...packs, ...attempt.flatMap((tried) => ('file' in tried ? objectsOfFile(tried) : []))]) {
        const fault = await objectFault(store, reference)
        if (fault !== undefined) throw new EnvironmentError('job.object', fault)
      }
      for (const { key, bytes } of packs) this.packs.set(key, bytes)
      return attempt
    } catch (error) {
      await stopIfEnding()
      if (!isPositioned(error) || isStoreFailure(error)) throw error
      this.options.onRemark?.(`a result of unit ${unit} is not used: ${error.message}`)
      return undefined
    }
  }

  private openUnits(open: ReadonlyMap<number, readonly RelationOverflow[]>): Unit[] {
    return this.units.filter(({ unit }) => open.has(unit)).map((unit) => {
      const overflow = open.get(unit.unit)!
      return { ...identityOf(this.identity), ...unit, source: this.plan.source, ...overflow.length > 0 && { overflow } }
    })
  }

  private async commit(chosen: readonly { change: PlannedChange; chosen: Chosen }[]): Promise<CommittedJob> {
    const { lake, plan } = this
    const before = await PreviousState.read(this.snapshot, lake.ports.store)
    const writer = await BranchWriter.open(lake, this.identity.branch)
    const work = writer.begin()
    try {
      const parts = new PartWriter(lake.ports.store, () => partKey(work.name()))
      const relations: RelationChange[] = []
      const results: FileResult[] = []
      const damaged: WrittenRelations['damaged'] = []
      for (const { change, chosen: what } of chosen) {
        if (what.kind === 'done') {
          relations.push(chosenChange(change, await this.info(change, what.overflow, before, parts), what.files))
          results.push(...what.files.map(({ result }) => result))
          damaged.push(...what.files.flatMap(({ result }) => result.damaged.map((one) => ({ relation: nameOf(change), ...one }))))
        } else if (what.kind === 'unreadable') this.leaveOut(change, what.reason, relations)
      }
      const unresolved = new Set(results.flatMap((result) => result.unresolved))
      const damage = [...new Set([...plan.damage, ...results.flatMap(({ losses }) => losses)])].sort()
      const others = [
        ...await unneededTransactions(lake, writer.head), ...this.edits, ...openEdits(before, unresolved), ...this.catalogEdits(before, damage),
      ]
      await parts.finish()
      await writer.commit(materialize({ from: this.job.state, position: plan.position, relations, others, job: this.job.id }), work)
      const published = await publishAfter(lake, writer, {})
      const { base, position: { lsn, timeline } } = plan
      const counts = { ...this.counts(results), damaged }
      return { done: 'committed', lsn, from: base.sequence === 0 ? null : base.lsn, timeline, counts, notRead: this.notRead, damage, ...published }
    } catch (error) {
      await stopIfEnding()
      work.end()
      throw error
    }
  }

  /** What the state says of the relation: with another description if values needed columns more. */
  private async info(
    { info, relation, overflow: planned }: PlannedChange, overflow: readonly number[], before: PreviousState, parts: PartWriter,
  ): Promise<PlannedChange['info']> {
    if (overflow.length === planned.length) return info
    const found = parseRelationInfo(info, relation)
    const description = await before.description(found.description)
    return relationInfoJson({ ...found, description: await parts.add(encodeDescription({ ...description, overflow })) })
  }

  /** What the state before has is not what the relation is now. */
  private leaveOut({ relation, info, database, isKnown }: PlannedChange, reason: string, relations: RelationChange[]): void {
    const { schema, name, oid, relkind } = parseRelationInfo(info, relation)
    this.notRead.push({ database, schema, name, oid, relkind, why: 'damaged', reason })
    if (isKnown) relations.push({ relation })
  }

  private catalogEdits(before: PreviousState, damage: readonly string[]): (EntryKey & { value?: object })[] {
    const entries = this.catalog.map((entry): CatalogValue => {
      if (damage.length === 0) return entry
      const found = parseCatalogEntry(entry.key, entry.value)
      return found.kind === 'cluster' ? catalogEdit({ kind: 'cluster', cluster: { ...found.cluster, damage } }) : entry
    })
    return catalogEdits(before.catalog, [...entries, ...this.notRead.map((notRead, i) => catalogEdit({ kind: 'notread', notRead }, i))])
  }

  private counts(results: readonly FileResult[]): Omit<CommittedRelations, 'damaged'> {
    const { relations, databases, unchanged, gone } = this.plan
    const sum = (of: (result: FileResult) => number): number => results.reduce((total, result) => total + of(result), 0)
    const lanes = sumLanes(results)
    const packs = new Set(results.map(({ file }) => (file as { key: string }).key).filter((key) => this.packs.has(key)))
    const packed = results.filter(({ file }) => 'pack' in (file as object)).length
    return {
      relations, databases, unchanged, gone, files: results.length - packed, packed, blocks: lanes.pages, rows: sum(({ rows }) => rows),
      bytes: sum(({ bytes }) => bytes) + [...packs].reduce((bytes, key) => bytes + this.packs.get(key)!, 0),
      hiddenRows: sum(({ hiddenRows }) => hiddenRows), lanes,
    }
  }
}

function nameOf({ relation, info, database }: PlannedChange): string {
  const { schema, name } = parseRelationInfo(info, relation)
  return lakeRelationName({ database, schema, name })
}

/** The store itself does not answer: then no result is at fault. */
function isStoreFailure({ code }: { code: string }): boolean {
  return code.startsWith('store.')
}
