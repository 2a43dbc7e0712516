import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { formatLsn, parseLsn } from '../../common/ids.ts'
import type { Lake } from '../../engine/lake.ts'
import type { LakePoint } from '../../engine/lakepoint.ts'
import { MAIN_BRANCH, REFERENCE_NAME } from '../../lake/state/names.ts'
import { parseTime } from '../timetext.ts'

/** What a text means by itself: an LSN, a time, or what may be the name of a tag; undefined for any other text. */
export function parsePoint(at: string): LakePoint | undefined {
  if (at === 'newest') return at
  const lsn = parseLsn(at)
  if (lsn !== undefined) return { lsn: formatLsn(lsn) }
  const time = parseTime(at)
  if (time !== undefined) return { time: Number(time) + POSTGRES_EPOCH_SECONDS * 1_000_000 }
  return REFERENCE_NAME.test(at) ? { tag: at } : undefined
}

/** What --at means. A tag may be called like a day: then the tag is meant. @throws EnvironmentError lake.point */
export async function pointOf(lake: Lake, at: string | undefined, branch: string = MAIN_BRANCH): Promise<LakePoint> {
  if (at === undefined || at === 'newest') return 'newest'
  const { tags } = await lake.head(branch)
  if (tags.some(({ name }) => name === at)) return { tag: at }
  const point = parsePoint(at)
  if (point !== undefined) return point
  throw new EnvironmentError('lake.point', `'${at}' is no tag, no LSN such as 16/B374D848, and no time such as 2026-01-31 12:00:00Z`)
}
