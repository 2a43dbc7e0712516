import { dataView } from '../../common/bytes.ts'
import { crc32cUpdate } from '../../common/crc32c.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { ObjectReference } from '../../lake/layer.ts'

/** An object that is written piece by piece. */
export class ObjectOutput {
  private readonly key: string
  private readonly upload: ReturnType<ObjectStore['upload']>
  private bytes = 0
  private state = -1

  constructor(store: ObjectStore, key: string) {
    this.key = key
    this.upload = store.upload(key)
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.state = crc32cUpdate(this.state, dataView(bytes), 0, bytes.length)
    this.bytes += bytes.length
    await this.upload.write(bytes)
  }

  async finish(): Promise<ObjectReference> {
    await this.upload.finish()
    return { key: this.key, bytes: this.bytes, crc: (this.state ^ -1) >>> 0 }
  }

  async abort(): Promise<void> {
    await this.upload.abort()
  }
}
