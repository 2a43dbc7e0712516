import { closeSync } from 'node:fs'
import type { RowVisibility } from '../../columnar/decodepage.ts'
import { buildToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { readRowsNotShown } from '../../engine/outcomes.ts'
import { createFile, writeFully } from '../../io/disk/create.ts'
import { fileError } from '../../io/disk/files.ts'
import type { BlockIndex } from '../../lake/blockindex.ts'
import type { PackedFile } from '../../lake/layer.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import { unpackPages } from '../../lake/packedpages.ts'
import { describedRelation, type TableDescription } from '../../lake/relationinfo.ts'
import { setLinePointer } from '../../page/linepointer.ts'
import { MemoryPages } from '../../page/pagesource.ts'
import { PartialPages } from '../../page/partialpages.ts'
import type { ToastSource } from '../../tuple/toastsource.ts'
import { rebuildFilePages } from '../lakes/filepages.ts'
import { type FileOfRelation, filesOf, readBlockIndex, readPacked } from '../lakes/layerfiles.ts'
import type { StateManifest } from '../lakes/statemanifest.ts'

/** A TOAST relation is in memory while tables that lie in packs are made into files. */
const TOAST_BYTES_MAX = 1 << 30

/** Makes Parquet files of pages that lie in packs, for what reads files. */
export class PackedTables {
  private readonly store: ObjectStore
  private readonly state: StateManifest

  constructor(store: ObjectStore, state: StateManifest) {
    this.store = store
    this.state = state
  }

  /**
   * One file with all rows of the pages, in the order that the block index has them.
   * @returns its length
   * @throws CorruptionError lake.*; EnvironmentError store.*, file.*, query.toast
   */
  async write(path: string, relation: LakeRelation, description: TableDescription, { file, expected }: FileOfRelation & { file: PackedFile }): Promise<number> {
    const { transcodeFile } = await import('../../columnar/transcode.ts')
    const { manifest: { systemIdentifier, major, checksums, profile }, cluster: { nextXid } } = this.state
    const { pages, index } = await this.pages(file, expected.blocks)
    const toast = await this.toast(relation)
    const visibility: RowVisibility = {
      // The block index says which rows are seen. Values of others may be gone.
      isVisible: () => true, isDead: () => false, nextXid: { low: nextXid % 0x100000000, epoch: Math.floor(nextXid / 0x100000000) },
    }
    const fd = createFile(path, true)
    let bytes = 0
    try {
      const written = await transcodeFile(describedRelation(relation, description, expected.blocks), pages, index.blocks, {
        cluster: { systemIdentifier, major, checksums, lsn: expected.lsn, profile }, compression: 'none', visibility, checksums: false, onCorrupt: 'carry',
        ...(toast && { toast }),
      }, (piece) => {
        bytes += piece.length
        writeFully(fd, piece)
      })
      const rows = 'wanted' in written ? 0 : written.rows
      if (rows !== file.rows) throw new CorruptionError('lake.pack', `the pages become ${rows} rows, the lake says ${file.rows}`)
      return bytes
    } catch (error) {
      throw isPositioned(error) ? error : fileError(error, path)
    } finally {
      closeSync(fd)
    }
  }

  /**
   * Pages of a pack. Memory is taken for pages that were read, whatever length a state says. A damaged page has one row, which no reader sees: so has a
   * page of zeros.
   */
  private async pages(file: PackedFile, blocks: number): Promise<{ pages: PartialPages; index: BlockIndex }> {
    const packed = await readPacked(this.store, file, false)
    const memory = new Uint8Array(packed.sizes.length * BLOCK_SIZE)
    let at = 0
    const index = unpackPages(packed, (_, page, form) => {
      if (form === 'canonical') memory.set(page, at)
      at += BLOCK_SIZE
    })
    return { pages: new PartialPages(index.blocks, memory, blocks), index }
  }

  /** The TOAST relation as a reader of the state sees it: chunks that are not shown are no chunks. */
  private async toast({ dbOid, toastRelId }: LakeRelation): Promise<ToastSource | undefined> {
    const { relations, systemIdentifier } = this.state.manifest
    const toast = toastRelId === 0 ? undefined : relations.find((one) => one.dbOid === dbOid && one.oid === toastRelId && one.relkind === 't' && one.visible)
    const found = toast && await this.state.relation(toast)
    if (toast === undefined || found === undefined) return undefined
    const bytes = (toast.forks.main ?? 0) * BLOCK_SIZE
    if (bytes > TOAST_BYTES_MAX) {
      const reason = `a table in a pack has ${bytes} bytes of out-of-line values, and at most ${TOAST_BYTES_MAX} are read: transcode with --pack-below 0`
      throw new EnvironmentError('query.toast', reason)
    }
    const memory = new Uint8Array(bytes)
    for (const { file, current } of filesOf(found, systemIdentifier)) {
      if (current.size === 0) continue
      const { index } = await readBlockIndex(this.store, file)
      const notShown = await readRowsNotShown(this.state.snapshot, { index, current }, true)
      await rebuildFilePages(this.store, file, false, (block, page, form, firstRow) => {
        if (form !== 'canonical' || !current.has(block)) return
        const own = memory.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
        own.set(page)
        const rows = index.pages.rows[index.blocks.indexOf(block)]!
        for (let row = 0; row < rows; row++) if (notShown.has(firstRow + row)) setLinePointer(own, row + 1, 0)
      })
    }
    const pages = new MemoryPages(memory)
    return new ToastReader(toastRelId, pages, buildToastIndex(pages, { xminStatus: () => 'committed', isDead: () => false }))
  }
}
