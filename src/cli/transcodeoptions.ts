import type { Compression } from '../columnar/planfile.ts'
import type { TypeProfile } from '../datum/typedef.ts'
import type { CorruptOptions } from './corruptoptions.ts'
import type { PackBelow } from './options.ts'
import type { PublishWish } from './publishoptions.ts'
import type { ReplayFirstOptions } from './replayfirst.ts'

/** What commander makes of the options of `ltap transcode`. */
export interface TranscodeOptions extends ReplayFirstOptions, CorruptOptions, PublishWish {
  lake: string
  branch?: string
  database: string[]
  table: string[]
  exclude: string[]
  codecs: string[]
  excludeSecrets?: boolean
  workers: number
  compression: Compression
  types?: TypeProfile
  packThreshold?: number
  packBelow: PackBelow[]
  merge: boolean
  plan?: boolean
  strict?: boolean
  json?: boolean
  verbose?: boolean
}
