/** What a lake holds and how to query it. Pure; no I/O. */
export {
  dataFileName, hiddenFileName, type LakeDatabase, type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest,
  relationFolder, VIEWS_NAME,
} from './manifest.ts'
export { isUnasked, type NotRead, notReadText, type NotReadWhy } from './notread.ts'
export type { NotShown } from './notshown.ts'
export { type BlockIndex, encodeBlockIndex, parseBlockIndex, rowsOfBlocks } from './blockindex.ts'
export { ChangedBlocks, type ChangedBlocksOptions, type CurrentBlocks } from './changedblocks.ts'
export { type FileVisibility, hiddenRows, type TransactionOutcome, type TransactionOutcomes } from './hiddenrows.ts'
export { type LayerFile, layerFile, layerFileJson, type ObjectReference, parseLayerFile } from './layer.ts'
export { CurrentRelation, type CurrentFile, type Layer } from './layerorder.ts'
export {
  encodePack, mergePacks, type OpenPack, PACK_TAIL_LENGTH, type PackDirectory, packDirectoryRange, type PackedRelation, packKey, packRanges, type PackRelation,
  parsePackDirectory, type RelationPages, unpackPage,
} from './pack.ts'
