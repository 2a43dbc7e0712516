import type { LaneCounts } from '../columnar/lanes.ts'
import type { LakeRelation } from './manifest.ts'

/** Values of a relation that are in no column: `_overflow` shows their bytes or their TOAST pointer in hex, raw keeps what is stored. */
export interface NotShown extends Pick<LaneCounts, 'unreadable' | 'missingToast' | 'oversized'> {
  /** `shop.public.orders`. */
  relation: string
}

/** One entry per relation that has any. A lake of an older ltap counts none. */
export function valuesNotShown(relations: readonly Pick<LakeRelation, 'database' | 'schema' | 'name' | 'lanes'>[]): NotShown[] {
  return relations.flatMap(({ database, schema, name, lanes }) => {
    const { unreadable = 0, missingToast = 0, oversized = 0 }: Partial<LaneCounts> = lanes
    const relation = database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
    return unreadable + missingToast + oversized > 0 ? [{ relation, unreadable, missingToast, oversized }] : []
  })
}

export function countNotShown(all: readonly NotShown[]): number {
  return all.reduce((sum, { unreadable, missingToast, oversized }) => sum + unreadable + missingToast + oversized, 0)
}

/** `shop.public.orders: 2 that their type does not accept, 1 with missing TOAST chunks`. */
export function notShownText({ relation, unreadable, missingToast, oversized }: NotShown): string {
  const parts = [
    [unreadable, 'that their type does not accept'], [missingToast, 'with missing TOAST chunks'], [oversized, 'too large for a Parquet page'],
  ] as const
  return `${relation}: ${parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`).join(', ')}`
}
