import type { PageStore } from '../../replay/pagestore/pagestore.ts'
import { replayState } from '../../replay/pagestore/replaystate.ts'
import type { FlushedStore } from '../../replay/replaydriver.ts'

/** A page store as the driver of a replay sees it. */
export function flushed(store: PageStore): FlushedStore {
  return {
    get needsFlush() {
      return store.needsFlush
    },
    flush: (progress) => store.flush(replayState(progress)),
  }
}
