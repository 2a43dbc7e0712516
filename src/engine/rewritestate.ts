import type { Change } from '../lake/state/commit.ts'
import type { Head } from '../lake/state/head.ts'
import type { PageRef } from '../lake/state/page.ts'
import { Visited } from '../lake/state/reachable.ts'
import { STATE_TREES } from '../lake/state/stateroot.ts'
import { scanTree } from '../lake/state/tree.ts'
import type { Lake } from './lake.ts'
import type { BranchWriter } from './writer.ts'

const REWRITE: Change = { reads: [], apply: () => ({ edits: [], rewrites: true }) }

/**
 * Rewrites the pages of a branch's newest state, if HEAD or an object with pages of it has anything else: entries that are out of date, pages of earlier
 * states. They may have bounds of columns of rows that are gone. Earlier states keep what they need; gc removes it with them.
 * @returns false if there was nothing to do
 * @throws EnvironmentError commit.*, store.*; CorruptionError of the lake's state
 */
export async function rewriteState(lake: Lake, writer: BranchWriter): Promise<boolean> {
  if (await isAlone(lake, writer.head)) return false
  await writer.commit(REWRITE)
  return true
}

async function isAlone(lake: Lake, { inline, state }: Head): Promise<boolean> {
  if (inline.length > 0) return false
  const bytes = new Map<string, number>()
  const visited = new Visited()
  const enter = (ref: PageRef): boolean => {
    if (!visited.add(ref)) return false
    bytes.set(ref.key, (bytes.get(ref.key) ?? 0) + ref.length)
    return true
  }
  for (const tree of STATE_TREES) await lake.pages.run(scanTree(tree, state.roots[tree], () => {}, enter))
  for (const [key, needed] of bytes) if ((await lake.ports.store.head(key))?.size !== needed) return false
  return true
}
