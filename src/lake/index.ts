/** What a lake holds and how to query it. Pure; no I/O. */
export {
  dataFileName, hiddenFileName, type LakeDatabase, type LakeFile, type LakeRelation, type Manifest, MANIFEST_NAME, parseManifest,
  relationFolder, VIEWS_NAME,
} from './manifest.ts'
export { isUnasked, type NotRead, notReadText, type NotReadWhy } from './notread.ts'
export type { NotShown } from './notshown.ts'
