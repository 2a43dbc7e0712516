import { crc32c } from '../../../src/common/crc32c.ts'
import { decodePage, type Page, type PageRef, pageText } from '../../../src/lake/state/page.ts'
import { PagePacker, type Stage, type StagedObject } from '../../../src/lake/state/stage.ts'

/** Objects of stages, in memory, with what was read and written. */
export class StagedPages {
  readonly objects = new Map<string, Uint8Array>()
  private names = 0
  reads = 0

  packer(): PagePacker {
    return new PagePacker(() => `ltap/parts/p${this.names++}`)
  }

  /** Keeps what the packer made. @returns its bytes */
  keep(objects: readonly StagedObject[]): number {
    for (const { key, bytes } of objects) this.objects.set(key, bytes)
    return objects.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  run<T>(stage: Stage<T>): T {
    let step = stage.next()
    while (!step.done) step = stage.next(step.value.map(({ ref, tree, level }) => this.page(ref, { tree, ...level !== undefined && { level } })))
    return step.value
  }

  page(ref: PageRef, expected: { tree: Page['tree']; level?: number }): Page {
    this.reads++
    return decodePage(pageText(this.objects.get(ref.key)!.subarray(ref.start, ref.start + ref.length), ref), ref, expected)
  }
}

/** A reference that fits `bytes`, as a forger makes it. */
export function refOf(bytes: Uint8Array): PageRef {
  return { key: 'ltap/parts/x', start: 0, length: bytes.length, crc: crc32c(bytes) }
}
