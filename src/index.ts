/**
 * ltap: Postgres heap pages to Parquet and back, bit for bit. Each floor is importable by itself: `ltap/page`, `ltap/columnar`, … An import of
 * this one loads neither Arrow nor parquet-wasm: what needs them is asynchronous here, and loads them when it is called first.
 */
import type { BlockSet } from './common/blockset.ts'
import type { RelationDescriptor } from './columnar/filedescriptor.ts'
import type { RebuildOptions } from './columnar/rebuild.ts'
import type { TranscodedFile, TranscodeOptions, WrittenFile } from './columnar/transcode.ts'
import type { WantedOverflow } from './columnar/wantedoverflow.ts'
import type { PageSource } from './page/pagesource.ts'

export * from './common/index.ts'
export type * from './columnar/index.ts'
export { DESCRIPTOR_KEY, FORMAT_VERSION, parseFileDescriptor, withCodecs } from './columnar/filedescriptor.ts'
export { newColumnFields, relationSchema } from './columnar/schema.ts'
export { buildToastIndex, indexToast } from './columnar/toastindex.ts'
export { toastPointers } from './columnar/toastpointers.ts'
export { PreparedToastReader, ToastReader } from './columnar/toastreader.ts'
export { HiddenRows } from './columnar/hiddenrows.ts'
export { fileSets, planFile } from './columnar/planfile.ts'
export { withOverflow } from './columnar/wantedoverflow.ts'
export * from './io.ts'

/** `transcodeFile` of `ltap/columnar`. */
export async function transcodeFile(
  relation: RelationDescriptor, pages: PageSource, blocks: BlockSet, options: TranscodeOptions, deliver: (bytes: Uint8Array) => void | Promise<void>,
): Promise<WrittenFile | WantedOverflow> {
  const columnar = await import('./columnar/transcode.ts')
  return columnar.transcodeFile(relation, pages, blocks, options, deliver)
}

/** `transcodePages` of `ltap/columnar`, which is synchronous there. */
export async function transcodePages(relation: RelationDescriptor, pages: Uint8Array, options: TranscodeOptions): Promise<TranscodedFile> {
  const columnar = await import('./columnar/transcode.ts')
  return columnar.transcodePages(relation, pages, options)
}

/** `rebuildPages` of `ltap/columnar`, which is synchronous there. */
export async function rebuildPages(parquet: Uint8Array, options?: RebuildOptions): Promise<Uint8Array> {
  const columnar = await import('./columnar/rebuild.ts')
  return columnar.rebuildPages(parquet, options)
}
