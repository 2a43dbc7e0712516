import { join } from 'node:path'
import { readParquet } from '../../parquet/parquetreader.ts'
import { PageRebuilder, type RebuildOptions } from '../../columnar/rebuild.ts'
import type { PageForm } from '../../columnar/formpage.ts'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import type { WordVector } from '../../vector/vector.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import { canonicalPage, firstDifference, newPageBuffer } from '../../page/canonical.ts'
import { checkPageChecksum } from '../../page/checksum.ts'
import { checkPageHeader, isZeroPage, PD_CHECKSUM } from '../../page/header.ts'
import { checkLinePointers, linePointer, LP_NORMAL, lpFlags, lpOff, usedLinePointers } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { crcProblem, readHiddenFile } from '../lakefile.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'
import type { CodecModules } from './codecs.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import type { SegmentFiles } from './transcodetask.ts'

/** One file of a lake to prove: against itself, and against the pages it came from where there is a data directory. */
export interface VerifyTask {
  lake: string
  file: LakeFile
  expected: ExpectedFile
  checksums: boolean
  /** The relation is visible at the lake's LSN; else every row must be hidden. */
  visible: boolean
  source: { snapshot: SnapshotKey; fork: SegmentFiles } | undefined
  codecs?: CodecModules
}

export interface Difference {
  /** Undefined: the whole file. */
  block?: number
  reason: string
}

export interface VerifyResult {
  pages: number
  rows: number
  tuples: number
  /** Tuples that no reader can ever see again. */
  dead: number
  hidden: number
  /** Hint bits that CLOG contradicts. */
  hintContradictions: number
  /** The first ones; `differing` counts all. */
  differences: Difference[]
  differing: number
}

const DIFFERENCES_MAX = 20

/** @param options the codecs that the task's modules have */
export function verify(task: VerifyTask, options: RebuildOptions = {}): VerifyResult {
  const fork = task.source && new SegmentPages(task.source.fork.path, task.source.fork.segments)
  try {
    return new FileVerifier(task, fork).run(options)
  } finally {
    fork?.close()
  }
}

class FileVerifier {
  private readonly task: VerifyTask
  private readonly fork: SegmentPages | undefined
  private readonly snapshot: Snapshot | undefined
  private readonly source = newPageBuffer()
  private readonly canonical = newPageBuffer()
  private readonly rebuilt = newPageBuffer()
  private hiddenRows: WordVector | undefined
  private hiddenAt = 0
  private readonly result: VerifyResult = {
    pages: 0, rows: 0, tuples: 0, dead: 0, hidden: 0, hintContradictions: 0, differences: [], differing: 0,
  }

  constructor(task: VerifyTask, fork: SegmentPages | undefined) {
    this.task = task
    this.fork = fork
    this.snapshot = task.source && snapshotOf(task.source.snapshot)
  }

  run(options: RebuildOptions): VerifyResult {
    const { task, result } = this
    let crc: string | undefined
    let source: LakeFileSource | undefined
    try {
      this.hiddenRows = readHidden(task.lake, task.file)
      result.hidden = this.hiddenRows?.length ?? 0
      source = new LakeFileSource(join(task.lake, task.file.path))
      crc = crcProblem(source.crc32(), task.file.crc32)
      const rebuilder = new PageRebuilder(source, options)
      result.rows = rebuilder.rows
      checkFileDescriptor(rebuilder.descriptor, task.expected)
      if (rebuilder.rows !== task.file.rows) this.differ(undefined, `the file has ${rebuilder.rows} rows, ltap.json says ${task.file.rows}`)
      rebuilder.rebuild((block, page, form, firstRow) => this.page(block, page, form, firstRow))
      if (this.snapshot && this.hiddenAt !== result.hidden) this.differ(undefined, 'hidden rows that a reader should see')
    } catch (error) {
      // A file that cannot be read is no answer, and neither is one whose codec was not given.
      if (!isPositioned(error) || error instanceof EnvironmentError || error.code === 'datum.codec') throw error
      this.differ(error.position.block, error.message)
    } finally {
      source?.close()
    }
    // Where the damage is says more, if it is in a page's values.
    if (crc !== undefined && result.differing === 0) this.differ(undefined, crc)
    return result
  }

  private page(block: number, page: Uint8Array, form: PageForm, firstRow: number): void {
    this.result.pages++
    if (form === 'verbatim') {
      if (this.snapshot) this.row(firstRow, false, block)
    } else {
      this.tuples(block, page, firstRow)
    }
    if (!this.fork) return
    if (block >= this.fork.blocks) return this.differ(block, 'the data directory has no such block')
    this.source.bytes.set(this.fork.read(block))
    this.compare(block, page, form)
  }

  private compare(block: number, page: Uint8Array, form: PageForm): void {
    const { source, canonical, rebuilt } = this
    rebuilt.bytes.set(page)
    if (form === 'verbatim') {
      const at = firstDifference(rebuilt.words, 0, source.words, 0)
      if (at >= 0) this.differ(block, `the damaged page differs from byte ${at} on`)
      return
    }
    try {
      if (!isZeroPage(source.bytes)) {
        if (this.task.checksums) checkPageChecksum(source.bytes, block)
        checkPageHeader(source.bytes)
        checkLinePointers(source.bytes)
      }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      return this.differ(block, `the page in the data directory is damaged: ${error.message}`)
    }
    canonicalPage(source.words, 0, canonical)
    rebuilt.bytes[PD_CHECKSUM] = rebuilt.bytes[PD_CHECKSUM + 1] = 0
    const at = firstDifference(rebuilt.words, 0, canonical.words, 0)
    if (at >= 0) this.differ(block, `the rebuilt page differs from byte ${at} on`)
  }

  /** Counts tuples, and holds visibility and hint bits against CLOG where there is one. */
  private tuples(block: number, page: Uint8Array, firstRow: number): void {
    const { result, snapshot } = this
    const last = isZeroPage(page) ? 0 : usedLinePointers(page)
    if (last === 0 && snapshot) this.row(firstRow, false, block)
    for (let offset = 1; offset <= last; offset++) {
      const pointer = linePointer(page, offset)
      const normal = lpFlags(pointer) === LP_NORMAL
      if (normal) result.tuples++
      if (!snapshot) continue
      this.row(firstRow + offset - 1, normal && this.tuple(snapshot, page, lpOff(pointer)), block)
    }
  }

  /** Returns whether the tuple is visible. */
  private tuple(snapshot: Snapshot, page: Uint8Array, off: number): boolean {
    const { xmin, xmax, infomask, cid } = readTupleHeader(page, off)
    if (snapshot.hintContradiction(xmin, xmax, infomask) !== undefined) this.result.hintContradictions++
    if (snapshot.isDead(xmin, xmax, infomask, cid)) this.result.dead++
    return this.task.visible && snapshot.isVisible(xmin, xmax, infomask, cid)
  }

  /** Row `row` of the file must be hidden if and only if it is not visible. */
  private row(row: number, visible: boolean, block: number): void {
    const hidden = this.hiddenRows !== undefined && this.hiddenAt < this.hiddenRows.length && this.hiddenRows.words[this.hiddenAt * 2] === row
    if (hidden) this.hiddenAt++
    if (hidden === visible) this.differ(block, visible ? `row ${row} is visible but hidden in the lake` : `row ${row} is not visible but shown by the lake`)
  }

  private differ(block: number | undefined, reason: string): void {
    this.result.differing++
    if (this.result.differences.length < DIFFERENCES_MAX) this.result.differences.push(block === undefined ? { reason } : { block, reason })
  }
}

/** @throws CorruptionError lake.hidden unless the positions ascend within the file and number what the manifest says */
function readHidden(lake: string, file: LakeFile): WordVector | undefined {
  const bytes = readHiddenFile(lake, file)
  if (!file.hidden || bytes === undefined) return undefined
  const reader = readParquet(bytes)
  if (reader.rowGroups !== 1 || reader.rows !== file.hidden.rows || reader.fields.length !== 1 || reader.fields[0]!.type.kind !== 'long') {
    throw new CorruptionError('lake.hidden', `${reader.rows} hidden rows where ltap.json says ${file.hidden.rows}`, { file: file.hidden.path })
  }
  const positions = reader.readRowGroup(0).columns[0] as WordVector
  let previous = -1
  for (let i = 0; i < positions.length; i++) {
    const position = positions.words[i * 2 + 1]! * 4294967296 + (positions.words[i * 2]! >>> 0)
    if (position <= previous || position >= file.rows) {
      throw new CorruptionError('lake.hidden', `hidden row ${position} is out of order, or beyond the file's ${file.rows} rows`, { file: file.hidden.path })
    }
    previous = position
  }
  return positions
}

