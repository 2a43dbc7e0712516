import type { BranchErasure, ErasedBy, ErasureReport, HoldingObject } from '../jobs/lakes/erasure.ts'
import { counted, listed } from './count.ts'
import { stateText } from './statetext.ts'

const LISTED_MAX = 50

const ADVICE: Record<ErasedBy, string> = {
  gc: 'gone once what keeps it is let go (ltap gc --keep, or the tag, lease or branch deleted)',
  merge: 'gone after ltap merge, and ltap gc when older states are let go',
  vacuum: 'the row is still in its page: VACUUM the table in the source, transcode, then ltap merge and ltap gc',
}

/** What `ltap gc --erasure` says. */
export function erasureText({ url, before, erased, files, branches, stray }: ErasureReport): string {
  return [
    erased ? `${url}: no retained object holds bytes of rows deleted before ${before}; ${counted(files, 'file')} looked at\n`
      : `${url} still holds bytes of rows deleted or replaced before ${before}, or may\n`,
    ...branches.flatMap(branchLines),
    ...listed('stray', stray.map(({ object, reason }) => `${object}: ${reason}`), LISTED_MAX),
  ].join('')
}

function branchLines({ branch, from, isBehind, holding }: BranchErasure): string[] {
  const behind = isBehind ? ', which is before that point: what its server deleted since is not in the lake' : ''
  const rows = holding.reduce((sum, object) => sum + object.rows, 0)
  return [
    `branch ${branch}: by its states from ${stateText(from)} on${behind}: ${counted(rows, 'row version')} in ${counted(holding.length, 'object')}\n`,
    ...listed('object', holding.map(objectText), LISTED_MAX),
  ]
}

function objectText({ object, relation, rows, blocks, keptBy, erasedBy }: HoldingObject): string {
  return `${object} of ${relation}: ${counted(rows, 'row version')} in ${counted(blocks, 'page')}, kept by ${keptBy.join(', ')}; ${ADVICE[erasedBy]}`
}
