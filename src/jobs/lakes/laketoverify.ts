import type { LakeRelation, Manifest } from '../../lake/manifest.ts'
import type { LakeDifference, LakeReport } from '../lakereport.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { VerifySource } from '../tasks/fileverifier.ts'
import type { VerifyResult } from '../tasks/verifyresult.ts'

/** A file of a relation to prove. */
export interface FileToVerify {
  /** Where it is in the lake. */
  readonly name: string
  readonly blocks: number
  /** @returns also how many of its pages that count were damaged when they were read */
  run(pool: JobTasks, source: VerifySource | undefined, codecs: CodecModules): Promise<{ result: VerifyResult; damaged: number }>
}

/** A lake of either format to prove. */
export interface LakeToVerify {
  readonly manifest: Manifest
  /** The files of a relation, and what is wrong with them as a whole. */
  relation(relation: LakeRelation): Promise<{ files: readonly FileToVerify[]; problems: readonly LakeDifference[] }>
  /** What is left when all relations were proven, of a lake that is audited alone. */
  audit?(pool: JobTasks, codecs: CodecModules, report: LakeReport, differ: (difference: LakeDifference) => void): Promise<void>
  close(): void
}
