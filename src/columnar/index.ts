/** TupleDesc → Parquet schema, pages → columns → Parquet, Parquet → pages. Pure; no I/O. */
export type { RowVisibility } from './decodepage.ts'
export {
  type ClusterDescriptor, DESCRIPTOR_KEY, type FileDescriptor, FORMAT_VERSION, type FormatVersion, parseFileDescriptor, type RelationDescriptor, withCodecs,
} from './filedescriptor.ts'
export type { AllocatedField, ColumnFields, GivenFields, NestedField } from './columnfields.ts'
export {
  columnFields, type FieldHistory, type GrownColumn, grownColumnFields, type GrownFields, grownLeafFields, parseFieldHistory,
} from './fieldhistory.ts'
export type { ColumnBounds } from './columnbounds.ts'
export type { FileSummary, PageStates, RowSet, TransactionStates, UnresolvedRun } from './filesummary.ts'
export type { LaneCounts } from './lanes.ts'
export type { LakeField } from '../parquet/lakefield.ts'
export { type ParquetReader, readParquet } from '../parquet/parquetreader.ts'
export { PageRebuilder, type PageSink, rebuildPages, type RebuildOptions, type RowGroupWatch } from './rebuild.ts'
export { Batch } from './batch.ts'
export type { PageForm } from './formpage.ts'
export type { PhysicalColumns } from './physical.ts'
export { type AttributePlan, type ColumnPlan, newColumnFields, relationSchema, type RelationSchema, type SchemaContext } from './schema.ts'
export { buildToastIndex, type ChunkStates, indexToast, type ToastIndex } from './toastindex.ts'
export { toastPointers } from './toastpointers.ts'
export { PreparedToastReader, ToastReader } from './toastreader.ts'
export type { ToastSource } from '../tuple/toastsource.ts'
export { HiddenRows, type HiddenRowsOptions } from './hiddenrows.ts'
export { type DamagedPage, PageTranscoder, type PageTranscoderOptions } from './pagetranscoder.ts'
export { type Compression, fileSets, planFile, type TranscodePlan } from './planfile.ts'
export { type TranscodedFile, transcodeFile, type TranscodeOptions, transcodePages, type WrittenFile } from './transcode.ts'
export { type WantedOverflow, withOverflow } from './wantedoverflow.ts'
export type { TupleText, ValueError, ValueRules } from './tuplevalues.ts'
