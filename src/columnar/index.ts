/** TupleDesc → Parquet schema, pages → columns → Parquet, Parquet → pages. Pure; no I/O. */
export type { RowVisibility } from './decodepage.ts'
export {
  type ClusterDescriptor, DESCRIPTOR_KEY, type FileDescriptor, FORMAT_VERSION, parseFileDescriptor, type RelationDescriptor,
} from './filedescriptor.ts'
export type { LaneCounts } from './lanes.ts'
export type { LakeField } from '../parquet/lakefield.ts'
export { type ParquetReader, readParquet } from '../parquet/parquetreader.ts'
export { PageRebuilder, type PageSink, rebuildPages } from './rebuild.ts'
export { relationSchema, type RelationSchema, type SchemaContext } from './schema.ts'
export { buildToastIndex, indexToast, type ToastIndex } from './toastindex.ts'
export { toastPointers } from './toastpointers.ts'
export { PreparedToastReader, ToastReader } from './toastreader.ts'
export type { ToastSource } from '../tuple/toastsource.ts'
export { HiddenRows, type HiddenRowsOptions } from './hiddenrows.ts'
export { type DamagedPage, PageTranscoder, type PageTranscoderOptions } from './pagetranscoder.ts'
export { type Compression, fileSets, planFile, type TranscodePlan } from './planfile.ts'
export { type TranscodedFile, transcodeFile, type TranscodeOptions, transcodePages, type WantedOverflow, withOverflow, type WrittenFile } from './transcode.ts'
