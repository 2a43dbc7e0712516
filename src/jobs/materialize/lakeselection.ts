import { EnvironmentError } from '../../common/errors.ts'
import type { LakeSelection } from '../../lake/clusterinfo.ts'
import type { RelationFilter } from '../selection.ts'
import type { PreviousState } from './previousstate.ts'

const WHOLE: LakeSelection = { databases: [], tables: [], exclude: [], excludeSecrets: false }

/** A filter as a lake records it: undefined for the whole cluster. */
export function selectionOf(filter: RelationFilter | undefined): LakeSelection | undefined {
  const { databases, tables, exclude = [], excludeSecrets = false } = filter ?? WHOLE
  const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort()
  const selection = { databases: sorted(databases), tables: sorted(tables), exclude: sorted(exclude), excludeSecrets }
  return equal(selection, WHOLE) ? undefined : selection
}

/**
 * What a further state of a lake takes of its cluster: what the lake took when it was made. Another filter would leave relations out of the new state
 * that have not gone.
 * @param url of the lake @param before its newest state @param given the filter of this run
 * @throws EnvironmentError lake.selection if `given` is another one
 */
export function lakeSelection(
  url: string, before: Pick<PreviousState, 'cluster' | 'notRead'>, given: RelationFilter | undefined, onNotice: (text: string) => void = () => {},
): LakeSelection | undefined {
  const { cluster: { selection, complete } } = before
  if (selection === undefined && (!complete || hasExcluded(before))) {
    throw new EnvironmentError('lake.selection',
      `the lake in ${url} does not say what of the cluster it takes, since an older ltap made it with a filter: make another lake`)
  }
  const wanted = selectionOf(given)
  if (wanted === undefined) {
    if (selection !== undefined) onNotice(`the lake in ${url} takes what it took when it was made: ${selectionText(selection)}`)
    return selection
  }
  if (equal(wanted, selection ?? WHOLE)) return selection
  const what = selection === undefined ? 'the whole cluster' : selectionText(selection)
  throw new EnvironmentError('lake.selection', `the lake in ${url} takes ${what} in each of its states, and this run was given ${selectionText(wanted)}: `
    + 'give no filter, or make another lake')
}

/** As a user gives it: `--database shop --exclude-secrets`. */
function selectionText({ databases, tables, exclude, excludeSecrets }: LakeSelection): string {
  const word = (value: string): string => (/^[\w.$-]+$/.test(value) ? value : `'${value}'`)
  const option = (name: string, values: readonly string[]): string[] => values.map((value) => `--${name} ${word(value)}`)
  const lists = [...option('database', databases), ...option('table', tables), ...option('exclude', exclude)]
  return [...lists, ...(excludeSecrets ? ['--exclude-secrets'] : [])].join(' ')
}

function equal(a: LakeSelection, b: LakeSelection): boolean {
  const lists = ['databases', 'tables', 'exclude'] as const
  return a.excludeSecrets === b.excludeSecrets && lists.every((list) => a[list].length === b[list].length && a[list].every((name, i) => name === b[list][i]))
}

function hasExcluded({ notRead }: Pick<PreviousState, 'notRead'>): boolean {
  return notRead.some(({ why }) => why === 'excluded' || why === 'secrets')
}
