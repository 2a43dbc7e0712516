import type { BlockSet } from '../../common/blockset.ts'
import { CorruptionError } from '../../common/errors.ts'
import { formatWalPosition } from '../../common/ids.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { readPiece } from '../../engine/pagereader.ts'
import { type BlockIndex, parseBlockIndex } from '../../lake/blockindex.ts'
import type { LayerFile, PackedFile } from '../../lake/layer.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { packRange } from '../../lake/pack.ts'
import type { PackedPages } from '../../lake/packedpages.ts'
import { decodeDescription, type TableDescription } from '../../lake/relationinfo.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import type { StateRelation } from '../../lake/staterelation.ts'
import type { ExpectedFile } from '../lake.ts'
import { readObject } from '../tasks/lakeobject.ts'

/** A file of a layer, and what of it counts in a state. */
export interface FileOfRelation {
  readonly file: LayerFile
  /** Blocks that no newer layer supersedes; none of a file that is superseded as a whole. */
  readonly current: BlockSet
  /** What its footer must say. */
  readonly expected: ExpectedFile
}

/** All files of a relation's layers, the oldest first. @throws CorruptionError lake.layers */
export function filesOf({ locator, layers }: StateRelation, systemIdentifier: string): FileOfRelation[] {
  const { spcOid, dbOid, relNumber } = locator
  const expected = new Map(layers.flatMap(({ lsn, length, files }) => files.map((file): [LayerFile, ExpectedFile] => (
    [file, { systemIdentifier, lsn: formatWalPosition(lsn), spcOid, dbOid, relNumber, blocks: length, runs: file.blocks.runs }]))))
  return new CurrentRelation(layers).files.map(({ file, current }) => ({ file, current, expected: expected.get(file)! }))
}

/** @throws CorruptionError lake.block-index if it is not that of the file's blocks and rows */
export async function readBlockIndex(store: ObjectStore, file: LayerFile): Promise<{ bytes: Uint8Array; index: BlockIndex }> {
  const bytes = file.index instanceof Uint8Array ? file.index : await readObject(store, file.index)
  const index = parseBlockIndex(bytes)
  const rows = index.pages.rows.reduce((sum, count) => sum + count, 0)
  if (index.blocks.subtract(file.blocks).size > 0 || index.blocks.size !== file.blocks.size || rows !== file.rows) {
    throw new CorruptionError('lake.block-index',
      `the block index has ${index.blocks.size} blocks and ${rows} rows, and belongs to ${file.key} of ${file.blocks.size} blocks and ${file.rows} rows`)
  }
  return { bytes, index }
}

/**
 * The pages of a packed relation, by one request for their bytes.
 * @throws CorruptionError lake.missing-object, lake.pack, lake.block-index; EnvironmentError store.*
 */
export async function readPacked(store: ObjectStore, file: PackedFile, checksums: boolean): Promise<PackedPages> {
  const { bytes: index } = await readBlockIndex(store, file)
  const { sizes, compressor } = file.pack
  const { start, end } = packRange(file.pack)
  const bytes = await readPiece(store, { key: file.key, start, length: end - start })
  if (bytes.length === end - start) return { sizes, compressor, index, bytes, checksums }
  throw new CorruptionError('lake.pack', `the pack ${file.key} in ${store.url} has ${start + bytes.length} bytes, and ends before byte ${end}`)
}

/** @throws CorruptionError lake.missing-object, lake.description; EnvironmentError store.* */
export async function readDescription(store: ObjectStore, ref: PieceRef): Promise<TableDescription> {
  return decodeDescription(await readPiece(store, ref), ref)
}
