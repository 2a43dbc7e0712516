import { forEachAtMost } from '../../common/atonce.ts'
import { BlockSet } from '../../common/blockset.ts'
import { CorruptionError } from '../../common/errors.ts'
import { auditLake } from '../../engine/audit.ts'
import type { Lake } from '../../engine/lake.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import { rowsOfBlocks } from '../../lake/blockindex.ts'
import { fileId, isPacked, type LayerFile } from '../../lake/layer.ts'
import type { LakeRelation, Manifest } from '../../lake/manifest.ts'
import type { ExpectedFile } from '../lake.ts'
import type { LakeDifference, LakeReport } from '../lakereport.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { VerifySource } from '../tasks/fileverifier.ts'
import type { VerifyLayerTask } from '../tasks/verifylayertask.ts'
import { failedResult, type VerifyResult } from '../tasks/verifyresult.ts'
import type { FileToVerify, LakeToVerify } from './laketoverify.ts'
import { type FileOfRelation, filesOf, readBlockIndex, readPacked } from './layerfiles.ts'
import { PackDirectories } from './packdirectories.ts'
import { auditPublished } from '../publish/auditpublished.ts'
import { FetchedObjects, type OpenLakeOptions } from './fetchedobjects.ts'
import { PiecesOfState } from './piecesofstate.ts'
import type { StateManifest } from './statemanifest.ts'

/** A lake of format 2 at one of its states. */
export class StateToVerify implements LakeToVerify {
  readonly manifest: Manifest
  private readonly lake: Lake
  private readonly state: StateManifest
  private readonly objects: FetchedObjects
  private readonly packs: PackDirectories
  /** Files that were proven. */
  private readonly proven = new Map<string, FileOfRelation>()

  constructor(lake: Lake, state: StateManifest, options: OpenLakeOptions) {
    this.lake = lake
    this.state = state
    this.manifest = state.manifest
    this.objects = new FetchedObjects(lake.ports.store, options)
    this.packs = new PackDirectories(lake.ports.store)
  }

  async relation(relation: LakeRelation): ReturnType<LakeToVerify['relation']> {
    const found = await this.state.relation(relation)
    const files = found === undefined ? [] : filesOf(found, this.manifest.systemIdentifier)
    return { problems: [], files: files.filter(({ current }) => current.size > 0).map((file) => this.file(file, relation.visible)) }
  }

  /** Every other object that any state of the lake refers to. */
  async audit(pool: JobTasks, codecs: CodecModules, report: LakeReport, differ: (difference: LakeDifference) => void): Promise<void> {
    const databases = new Map(this.manifest.databases.map(({ oid, name }) => [name, oid]))
    const excluded = new Set(report.notRead.filter(({ why }) => why === 'excluded').map(({ database, oid }) => `${databases.get(database ?? '') ?? 0}/${oid}`))
    const left = new Map<string, FileOfRelation & { relation: string }>()
    const pieces = new PiecesOfState()
    const audit = await auditLake(this.lake, (entry, value) => {
      const relation = pieces.add(entry, value)
      if (relation === undefined || excluded.has(`${relation.locator.dbOid}/${relation.info.oid}`)) return
      for (const file of filesOf(relation, this.manifest.systemIdentifier)) {
        const id = fileId(file.file)
        if (!this.proven.has(id)) left.set(id, { ...file, current: BlockSet.EMPTY, relation: `${relation.info.schema}.${relation.info.name}` })
      }
    })
    for (const reason of audit.damaged) differ({ reason })
    const tried = new Set([...left.values(), ...this.proven.values()].map(({ file: { key } }) => key))
    for (const key of audit.missing) {
      if (!tried.has(key)) differ({ file: key, reason: 'the object is missing: it was deleted by hand' })
    }
    // Files that are read say it themselves, and what else is wrong with them.
    for (const [key, reason] of audit.otherSize) if (!tried.has(key)) differ({ file: key, reason })
    await forEachAtMost(pool.workers + 1, left.values(), async (file) => {
      const { result } = await this.prove(file, false, pool, undefined, codecs)
      report.files++
      for (const difference of result.differences) differ({ relation: file.relation, file: file.file.key, ...difference })
    })
    await pieces.check(this.lake.ports.store, differ)
    await auditPublished(this.lake, differ)
    const { objects, bytes, orphans = null } = audit
    report.store = { objects, bytes, orphans }
  }

  close(): void {
    this.objects.close()
  }

  private file(file: FileOfRelation, visible: boolean): FileToVerify {
    const { key, blocks } = file.file
    return { name: key, blocks: blocks.size, run: (pool, source, codecs) => this.prove(file, visible, pool, source, codecs) }
  }

  /** @param visible false for a file of no state: all its rows are not shown */
  private async prove(
    wanted: FileOfRelation, visible: boolean, pool: JobTasks, source: VerifySource | undefined, codecs: CodecModules,
  ): ReturnType<FileToVerify['run']> {
    this.proven.set(fileId(wanted.file), wanted)
    try {
      return await this.proveSound(wanted, visible, pool, source, codecs)
    } catch (error) {
      // An object that is damaged or gone is an answer.
      if (!(error instanceof CorruptionError)) throw error
      return { damaged: 0, result: failedResult({ reason: error.message }) }
    }
  }

  private async proveSound(
    { file, current, expected }: FileOfRelation, visible: boolean, pool: JobTasks, source: VerifySource | undefined, codecs: CodecModules,
  ): Promise<{ result: VerifyResult; damaged: number }> {
    const { bytes, index } = await readBlockIndex(this.lake.ports.store, file)
    const hidden = (await readRowsNotShown(this.state.snapshot, { index, current }, visible)).intersect(rowsOfBlocks(index, current))
    const { bytes: from, release } = await this.bytesOf(file, expected)
    try {
      const result = await pool.run('verifyLayer', {
        file: from, expected, rows: file.rows, checksums: this.manifest.checksums, visible, index: bytes, current: current.runs, hidden: hidden.runs, source,
        codecs,
      })
      return { result, damaged: index.damaged.intersect(current).size }
    } finally {
      release()
    }
  }

  private async bytesOf(file: LayerFile, expected: ExpectedFile): Promise<{ bytes: VerifyLayerTask['file']; release: () => void }> {
    const { ports: { store } } = this.lake
    if (isPacked(file)) {
      await this.packs.check(file, expected)
      return { bytes: { packed: await readPacked(store, file, this.manifest.checksums) }, release: () => {} }
    }
    const { path, release } = await this.objects.open(file)
    return { bytes: { path, bounds: file.columns }, release }
  }
}
