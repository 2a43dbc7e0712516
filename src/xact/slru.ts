import { CorruptionError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'

/** Pages of one SLRU (slru.c): a port, since they come from files, from an object store or from replayed WAL. */
export interface SlruPages {
  /**
   * The 8192 bytes of page `n`, valid until the next call; undefined if the page was truncated away or never written, and fewer bytes if
   * its file ends inside it.
   */
  page(n: number): Uint8Array | undefined
  /** Why page `n` is missing although its file has a place for it: `cannot be read: …`; undefined without such a reason. */
  problem?(n: number): string | undefined
}

/** @throws CorruptionError `code` when the page is not there */
export function requirePage(pages: SlruPages, n: number, code: string, what: string): Uint8Array {
  const page = pages.page(n)
  if (page === undefined) throw new CorruptionError(code, `${what} needs page ${n}, which is missing`)
  if (page.length !== BLOCK_SIZE) throw new CorruptionError(code, `page ${n} has ${page.length} bytes`)
  return page
}
