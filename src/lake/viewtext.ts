import { LTAP_FIELD } from '../columnar/physical.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { quoteName } from './viewnames.ts'

/** A text as SQL writes one. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A path as a glob pattern that matches nothing else. */
export function globEscape(path: string): string {
  return path.replace(/[[*?]/g, '[$&]')
}

/**
 * Not a structure row: offset 0 stands for an empty page, and a line pointer that is not NORMAL has no tuple.
 * @param lanes `_ltap` as the files have it
 */
export function isTuple(lanes: LakeField): string {
  const offset = laneOf(lanes, 'offset')
  const state = laneOf(lanes, 'lp', 'state')
  return `"_row".${offset} > 0 AND coalesce("_row".${state}, 1) = 1`
}

/** A lane as SQL, whatever the files call it. @param path its name in {@link LTAP_FIELD} */
function laneOf(lanes: LakeField, ...path: readonly string[]): string {
  let names = LTAP_FIELD
  let found = lanes
  const text = [quoteName(found.name)]
  for (const name of path) {
    const at = names.children!.findIndex((child) => child.name === name)
    names = names.children![at]!
    found = found.children![at]!
    text.push(quoteName(found.name))
  }
  return text.join('.')
}
