import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ATTRIBUTE_RELATION_ID } from '../../catalog/catalogs.ts'
import type { Relation } from '../../catalog/relations.ts'
import { hexEncode } from '../../common/bytes.ts'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import type { Oid, WalPosition } from '../../common/ids.ts'
import { forEachTuple } from '../../history/pagetuples.ts'
import type { RemovedVersion } from '../../history/versionhistory.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { isZeroPage } from '../../page/header.ts'
import { readTupleHeader, type TupleHeader } from '../../tuple/header.ts'
import { type DirectoryCluster, openCluster } from '../../io/cluster.ts'
import type { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { createFolder } from '../../io/disk/create.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { ScratchFolder } from '../../io/disk/scratchfolder.ts'
import { isPageStore } from '../../io/pagestore/openstore.ts'
import { buildToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { findTable } from './findtable.ts'
import { findFiles, forEachCatalogPage, type ReplaySource, resumed, type WatchList, type Watched, watchFiles } from './historypasses.ts'
import { type Life, LifeJudge, type Moment, type TableFile, type VersionState } from '../../history/versionlife.ts'
import { HistoryToast } from './historytoast.ts'
import { isOfThisForm, xmaxText } from '../../xact/tuplestate.ts'
import { TupleValues, type ValueError } from '../../columnar/tuplevalues.ts'

/** One row version that the table had in the range. */
export interface HistoryRow {
  /** File number (relfilenode): rewrites change it. */
  file: number
  block: number
  offset: number
  xmin: number
  /** A multixact is marked. */
  xmax: string
  state: VersionState
  from: Moment | undefined
  to: Moment | undefined
  /** Canonical text per column; undefined for NULL. */
  values: readonly (string | undefined)[]
  /** Columns whose out-of-line value is gone; the value is then the TOAST pointer as `\x…`. */
  dangling: readonly string[]
  /** Why there are no values, or how far they can be trusted. */
  problem: string | undefined
  /** The tuple in hex, if there is a problem. */
  raw: string | undefined
}

export interface HistoryOptions extends ReplaySource {
  table: string
  database?: string
  /** A new folder for the replayed files, kept; default: a temporary one. */
  work?: string
  /** At damage: throw, or show what is there: TOAST pointers for values that are gone, and no row of a page that is damaged. */
  onCorrupt?: 'fail' | 'carry'
  /** Told what the user should know, as a sentence. */
  onNotice?: (text: string) => void
}

/**
 * Every row version that a table had between the source and the target; close it. The WAL is replayed twice: first to find the files that
 * the table had on the way, then to catch what vanishes from them. What vanished goes to a temporary file; memory grows by 24 bytes per
 * such version, 32 per TOAST chunk, some 100 per transaction that changed the table.
 * @throws EnvironmentError selection.*, history.*, replay.*; CorruptionError; UnsupportedError
 */
export async function openHistory(options: HistoryOptions): Promise<TableHistory> {
  const { table, database, work, onNotice: _, onCorrupt = 'fail', ...source } = options
  if (work !== undefined && isPageStore(work)) throw resumed(work)
  const folder = new ScratchFolder(join(tmpdir(), 'ltap-history-'), options.onNotice)
  const scratch = folder.path
  const removeScratch = (): void => folder.remove()
  try {
    const first = join(scratch, 'first')
    const list = await findFiles(source, first, table, database, { onCorrupt })
    rmSync(first, { recursive: true, force: true })
    const files = work ?? join(scratch, 'files')
    const spillFolder = join(scratch, 'spill')
    createFolder(spillFolder)
    const watched = await watchFiles(source, files, list, spillFolder)
    const cluster = openCluster(files, { onCorrupt })
    return new TableHistory(cluster, findTable(cluster, table, database), list, watched, onCorrupt, removeScratch)
  } catch (error) {
    await stopIfEnding()
    removeScratch()
    throw error
  }
}

/** Row versions of a table in a range of WAL. */
export class TableHistory {
  /** Names of the columns, as they are at the end. */
  readonly columns: readonly string[]
  /** Their types. */
  readonly types: readonly Oid[]
  /** Where the WAL of the range begins and ends. */
  readonly range: { readonly from: WalPosition; readonly to: WalPosition }
  /** Values that their type's codec did not accept, shown as bytes, so far. */
  unreadableValues = 0
  /** With `carry`: how many values of row versions that may count were shown as TOAST pointers so far. */
  missingValues = 0
  /** False for a materialized view that a server refuses to read at the end of the range. */
  readonly populated: boolean
  private readonly nulls: readonly undefined[]
  private readonly cluster: DirectoryCluster
  private readonly relation: Relation
  private readonly watched: Watched
  private readonly judge: LifeJudge
  private readonly files: readonly TableFile[]
  private readonly present: TupleValues
  /** Readers of the values in files before the present one; undefined for a file in which a column had another type. */
  private readonly others = new Map<TableFile, TupleValues | undefined>()
  private readonly toastIds: WatchList['toast']
  private toastFork: SegmentPages | undefined
  private toastSource: HistoryToast | undefined

  private readonly onCorrupt: 'fail' | 'carry'
  private onDamage: (error: ValueError) => void = () => {}
  private readonly onClose: () => void

  /** By {@link openHistory}. @internal */
  constructor(cluster: DirectoryCluster, relation: Relation, list: WatchList, watched: Watched, onCorrupt: 'fail' | 'carry', onClose: () => void) {
    this.onCorrupt = onCorrupt
    this.onClose = onClose
    this.populated = relation.populated
    this.cluster = cluster
    this.relation = relation
    this.watched = watched
    this.toastIds = list.toast
    this.judge = new LifeJudge(cluster.snapshot, watched.ends, watched.start)
    this.files = tableFiles(cluster, relation, list)
    forEachCatalogPage(cluster, relation, ATTRIBUTE_RELATION_ID, (page) => watched.attributes.addPage(page, cluster.snapshot.nextXid))
    this.present = new TupleValues(relation, cluster.major, () => this.toast())
    this.columns = this.present.names
    this.types = this.present.types
    this.range = watched.range
    this.nulls = this.columns.map(() => undefined)
  }

  /**
   * By file in the order that the table had them, block and offset; versions that had the same place one after the other in the order
   * in which they had it.
   * @param onDamage with `carry`: called for a page or tuple that is damaged, and for a value that is gone; reading goes on behind it
   * @throws CorruptionError with relation, block, offset
   */
  *rows(onDamage: (error: ValueError) => void = () => {}): Generator<HistoryRow> {
    this.onDamage = onDamage
    for (const file of this.files) {
      yield* mergeByPlace(this.removed(file), this.remaining(file))
    }
  }

  /** A sentence for each part of the cluster as a whole that is lost. */
  get losses(): readonly string[] {
    return this.cluster.losses
  }

  close(): void {
    this.watched.spill.close()
    this.toastFork?.close()
    this.toastFork = this.toastSource = undefined
    this.onClose()
  }

  private *removed(file: TableFile): Generator<Placed> {
    for (const version of this.watched.spill.versionsOf(file)) {
      const header = readTupleHeader(version.bytes, 0)
      const row = (): HistoryRow => this.row(file, version, header, version.bytes, version)
      yield { block: version.block, offset: version.offset, xmin: header.xmin, mayComeAgain: version.how === 'removed', row }
    }
  }

  private *remaining(file: TableFile): Generator<Placed> {
    const fork = this.openFile(file)
    if (fork === undefined) return
    try {
      for (let block = 0; block < fork.blocks; block++) {
        const page = fork.read(block)
        if (isZeroPage(page)) continue
        yield* this.onPage(file, page, block)
      }
    } finally {
      fork.close()
    }
  }

  private onPage(file: TableFile, page: Uint8Array, block: number): Placed[] {
    const found: Placed[] = []
    try {
      if (this.cluster.checksums) checkPageChecksum(page, block)
      forEachTuple(page, false, (start, length, offset) => {
        const header = readTupleHeader(page, start)
        const bytes = page.slice(start, start + length)
        const row = (): HistoryRow => this.row(file, { block, offset }, header, bytes)
        found.push({ block, offset, xmin: header.xmin, mayComeAgain: false, row })
      })
    } catch (error) {
      if (isPositioned(error)) error.at({ relation: this.relation.name, block })
      if (this.onCorrupt === 'fail' || !(error instanceof CorruptionError)) throw error
      this.onDamage(error)
      return []
    }
    return found
  }

  /** @throws CorruptionError with relation, block, offset */
  private row(
    file: TableFile, place: { block: number; offset: number }, header: TupleHeader, bytes: Uint8Array, removed?: RemovedVersion,
  ): HistoryRow {
    const { block, offset } = place
    try {
      const life = removed === undefined ? this.judge.ofPresent(file, header, block, offset) : this.judge.ofRemoved(removed, file, header)
      return this.valuedRow(file, place, header, life, bytes, removed)
    } catch (error) {
      const { database, schema, name } = this.relation
      throw isPositioned(error) ? error.at({ relation: `${database.name}.${schema}.${name}`, file: String(file.relNumber), block, offset }) : error
    }
  }

  private valuedRow(
    file: TableFile, { block, offset }: { block: number; offset: number }, header: TupleHeader, { state, from, to }: Life, bytes: Uint8Array,
    removed?: RemovedVersion,
  ): HistoryRow {
    const row: HistoryRow = {
      file: file.relNumber, block, offset, xmin: header.xmin, xmax: xmaxText(header), state, from, to, values: this.nulls, dangling: [],
      problem: removed && doubt(removed, state), raw: undefined,
    }
    const values = file.kind === 'present' ? this.present : this.othersOf(file)
    if (values === undefined) {
      row.problem = "written when the table's columns had other types"
    } else {
      try {
        const isPresent = removed === undefined && file.kind === 'present' && (state === 'live' || state === 'deleting')
        const unreadable = file.kind === 'present' && isOfThisForm(state) ? 'hex' : 'error'
        const read = values.read(bytes, 0, bytes.length, header, { unreadable, lost: isPresent && this.onCorrupt === 'fail' ? 'error' : 'pointer' })
        row.values = read.values
        row.dangling = read.lost.map(({ position }) => position.attribute!)
        this.unreadableValues += read.unreadable.length
        if (isPresent) this.missing(read.lost, file, block, offset)
        const problems = [...(row.problem === undefined ? [] : [row.problem]), ...read.unreadable.map(({ message }) => message)]
        if (problems.length > 0) row.problem = problems.join('; ')
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error
        if (removed === undefined && state === 'live') this.damaged(error, file, block, offset)
        row.problem = error.message
      }
    }
    if (row.problem !== undefined) row.raw = `\\x${hexEncode(bytes)}`
    return row
  }

  private missing(lost: readonly ValueError[], file: TableFile, block: number, offset: number): void {
    this.missingValues += lost.length
    for (const error of lost) this.damaged(error, file, block, offset)
  }

  /** @throws the error, unless onCorrupt is `carry` */
  private damaged(error: ValueError, file: TableFile, block: number, offset: number): void {
    const { database, schema, name } = this.relation
    if (this.onCorrupt === 'fail') throw error
    this.onDamage(error.at({ relation: `${database.name}.${schema}.${name}`, file: String(file.relNumber), block, offset }))
  }

  private othersOf(file: TableFile): TupleValues | undefined {
    if (this.others.has(file)) return this.others.get(file)
    const { relation, cluster, watched } = this
    const since = file.since === undefined || file.since === 'before' ? 0 : file.since.lsn
    // If one transaction made a file and replaced it, the columns of that file are not known.
    const isTables = file.kind === 'past' && file.dropped !== undefined && file.dropped.lsn > since
    const desc = relation.desc && watched.attributes.earlierDesc(relation.desc, watched.ends, isTables ? since : undefined)
    const values = desc && new TupleValues({ desc, database: relation.database }, cluster.major, () => this.toast())
    this.others.set(file, values)
    return values
  }

  private openFile(file: TableFile): SegmentPages | undefined {
    if (file.dropped !== undefined) return undefined
    try {
      return this.cluster.openMain({ ...this.relation, locator: locatorOf(this.cluster, this.relation, file) })
    } catch (error) {
      // The file was made and lost by a transaction whose server crashed, or before the range.
      if (file.kind !== 'present' && error instanceof CorruptionError && error.code === 'relation.missing-file') return undefined
      throw error
    }
  }

  private toast(): HistoryToast {
    if (this.toastSource !== undefined) return this.toastSource
    const { database, toastRelId } = this.relation
    const toast = toastRelId === 0 ? undefined : this.cluster.relations(database.oid).find(({ oid, visible }) => oid === toastRelId && visible)
    let reader: ToastReader | undefined
    if (toast !== undefined) {
      this.toastFork = this.cluster.openMain(toast)
      reader = new ToastReader(toastRelId, this.toastFork, buildToastIndex(this.toastFork, this.cluster.snapshot))
    }
    this.toastSource = new HistoryToast(this.toastIds, reader, this.watched.spill)
    return this.toastSource
  }
}

function doubt({ how, unproven }: RemovedVersion, state: VersionState): string | undefined {
  if (unproven) return 'read from a page that may have been copied while it was written'
  return how === 'removed' && state === 'removed' ? 'it was alive when it vanished from its page' : undefined
}

/** A version that is to be shown if no later one is the same. */
interface Placed {
  block: number
  offset: number
  xmin: number
  /**
   * True if the version is from a page that was ahead of the WAL, so that the WAL gives the same version once more. In a file that was truncated, one
   * transaction may put two versions in one place.
   */
  mayComeAgain: boolean
  row: () => HistoryRow
}

/** Versions that vanished and the one that is left, place by place. Of a version that comes twice only the last is given. */
function* mergeByPlace(removed: Generator<Placed>, remaining: Generator<Placed>): Generator<HistoryRow> {
  try {
    let gone = removed.next()
    let left = remaining.next()
    while (!gone.done || !left.done) {
      const next = gone.done ? left.value as Placed : left.done || !isBefore(left.value, gone.value) ? gone.value : left.value
      const here: Placed[] = []
      for (; !gone.done && isSame(gone.value, next); gone = removed.next()) here.push(gone.value)
      for (; !left.done && isSame(left.value, next); left = remaining.next()) here.push(left.value)
      for (const [i, { xmin, row, mayComeAgain }] of here.entries()) {
        if (!mayComeAgain || !here.some((other, j) => j > i && other.xmin === xmin)) yield row()
      }
    }
  } finally {
    removed.return(undefined)
    remaining.return(undefined)
  }
}

function isBefore(a: Placed, b: Placed): boolean {
  return a.block < b.block || (a.block === b.block && a.offset < b.offset)
}

function isSame(a: Placed, b: Placed): boolean {
  return a.block === b.block && a.offset === b.offset
}

/** The table's files, those that it had one after the other first. */
function tableFiles(cluster: DirectoryCluster, relation: Relation, { files, databaseCopied }: WatchList): TableFile[] {
  const { relNumber: present } = relation.locator
  const own = files.filter(({ role }) => role === 'table')
  const known = cluster.relations(relation.database.oid)
  const kindOf = (file: WatchList['files'][number]): TableFile['kind'] => {
    if (file.dropped !== undefined) return file.dropped.committed ? 'past' : 'failed'
    if (file.relNumber === present) return 'present'
    return known.some(({ oid, locator }) => oid === relation.oid && locator.relNumber === file.relNumber) ? 'open' : 'failed'
  }
  const order = (a: { createdAt: WalPosition; relNumber: number }, b: { createdAt: WalPosition; relNumber: number }): number =>
    a.createdAt - b.createdAt || a.relNumber - b.relNumber
  const ordered = own.map((file) => Object.assign(file, { kind: kindOf(file), since: undefined as Moment | undefined })).sort(order)
  let last: Moment | undefined = databaseCopied === undefined ? undefined : { lsn: databaseCopied, time: undefined }
  for (const file of ordered) {
    if (file.kind !== 'past' && file.kind !== 'present') continue
    file.since = last
    if (file.dropped !== undefined) last = file.dropped
  }
  if (!ordered.some(({ kind }) => kind === 'present')) {
    throw new EnvironmentError('history.files',
      'the file of the table changed while it was read: run the command again')
  }
  return ordered
}

function locatorOf(cluster: DirectoryCluster, { locator, database }: Relation, { spcOid, relNumber }: TableFile): Relation['locator'] {
  if (relNumber === locator.relNumber) return locator
  const own = cluster.databases.find(({ oid }) => oid === database.oid)?.tablespace ?? locator.spcOid
  return { spcOid: spcOid === 0 ? own : spcOid, dbOid: locator.dbOid, relNumber }
}
