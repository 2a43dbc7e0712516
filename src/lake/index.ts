/** What a lake holds and how to query it. Pure; no I/O. */
export {
  dataFileName, hiddenFileName, type LakeDatabase, type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest,
  relationFolder, VIEWS_NAME,
} from './manifest.ts'
export { isUnasked, type NotRead, notReadText, type NotReadWhy } from './notread.ts'
export type { NotShown } from './notshown.ts'
export { expireIceberg, type SnapshotWindow } from './iceberg/expire.ts'
export { type IcebergOptions, nextIceberg, type NextIceberg } from './iceberg/iceberg.ts'
export { icebergCommit, versionHint } from './iceberg/metadata.ts'
export type { FormatVersion, TableSchema } from './iceberg/manifest.ts'
export type { EntryCount, ManifestFile } from './iceberg/manifestlist.ts'
export {
  currentSnapshot, type DataFileRecord, type DeleteFileRecord, icebergObjects, type IcebergRecord, type IcebergSnapshot, type LeftObjects, type Operation,
  parseIcebergRecord,
} from './iceberg/record.ts'
export type { IcebergType, ListType, MapType, NestedField, StructType } from './iceberg/schema.ts'
export type { JobIdentity } from './job/identity.ts'
export { type RelationOverflow, type Unit, unitLine } from './job/unit.ts'
export { type BlockIndex, encodeBlockIndex, parseBlockIndex, rowsOfBlocks } from './blockindex.ts'
export { ChangedBlocks, type ChangedBlocksOptions, type CurrentBlocks } from './changedblocks.ts'
export {
  catalogEdit, type CatalogEntry, type ClusterInfo, type DatabaseInfo, type LakeSelection, type PackedTable, type Packing, parseCatalogEntry,
  type PartitionedTable,
} from './clusterinfo.ts'
export { encodeBitmap, framedBitmap } from './deletionvector.ts'
export { deltaCheckpoint } from './delta/checkpoint.ts'
export { deltaCommit, type DeltaOptions, nextDelta } from './delta/log.ts'
export { type DeltaFile, type DeltaMetaData, type DeltaRecord, type DeletionVector, parseDeltaRecord } from './delta/record.ts'
export { hiddenRows, type HiddenRowsSummary, type TransactionOutcome, type TransactionOutcomes } from './hiddenrows.ts'
export {
  isPacked, type LayerFile, layerFile, layerFileJson, type ObjectReference, type PackedFile, type ParquetFile, parseLayerFile, storedBlocks,
  type StoredBlocks,
} from './layer.ts'
export { CurrentRelation, type CurrentFile, type Layer } from './layerorder.ts'
export {
  PACK_TAIL_LENGTH, PackBuilder, type PackDirectory, packDirectoryRange, type PackedRelation, packKey, packPages, type PackPlace, packRange,
  type PackRelation, parsePackDirectory,
} from './pack.ts'
export { type PackedPages, unpackPages } from './packedpages.ts'
export {
  decodeDescription, encodeDescription, parseRelationInfo, type RelationInfo, relationInfoJson, type TableDescription,
} from './relationinfo.ts'
export type { FormatName, PublishedWindow } from './publishedentry.ts'
export type { ObjectNames, PublishedColumn, PublishedFile, SnapshotKind, TableSnapshot } from './publishedtable.ts'
export { parseStateRelation, stateLayer, type StateRelation } from './staterelation.ts'
export { type Materialized, materialize, type Merge, mergeLayers, type RelationChange } from './state/changes.ts'
export type { Change, StatePosition, StateView, Transition } from './state/commit.ts'
export type { EntryKey } from './state/entries.ts'
export { type ClusterFile, fileKey, filePath, parseFile } from './state/files.ts'
export type { LakeFormat } from './state/format.ts'
export type { Epoch, Head, Lease, LogEdit, OpenJob, PlanReference, Registration } from './state/head.ts'
export type { ChangeKind, MadeBy, RequestKind, StoreUse } from './state/madeby.ts'
export { MAIN_BRANCH, type ObjectName, parseObjectName } from './state/names.ts'
export type { Entry, Page, PageRef, PieceRef, TreeName } from './state/page.ts'
export { type NewRegistration, type RegistrationKind, retainedStates, type StateWish } from './state/registrations.ts'
export type { KeepWish, Pin, RetentionPlan } from './state/retention.ts'
export { parseRelation, parseRelationKey, relationKey, type RelationLayers, type StateFile, type StateInfo, type StateLayer } from './state/relationlayers.ts'
export type { Stage, StagedObject, WantedPage } from './state/stage.ts'
export type { StateRoot, TreeRoots } from './state/stateroot.ts'
export { parseStatus, statusEdit, statusKey, statusXid, type TransactionStatus } from './state/status.ts'
