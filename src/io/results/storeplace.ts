import { EnvironmentError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { openObjectStore } from '../objectstore/openobjectstore.ts'
import { onEnd } from '../process/interruption.ts'
import type { ResultFile, ResultPlace } from './resultplace.ts'

/** An upload has parts of 8 MiB in memory, up to four. */
const UPLOADS_MAX = 8
/** The key of an object that is there until the result is whole. The process that makes it may write. */
const CLAIM = '_ltap_unfinished'
/** Written last, as Hadoop and Spark do: with it the result is whole. */
const SUCCESS = '_SUCCESS'
const NAME_BYTES_MAX = 255
/** A key of S3 has at most 1024 bytes; the rest is for the prefix. */
const KEY_BYTES_MAX = 768

/** Objects below a prefix. An object appears when it is whole; that all are there is said by the object `_SUCCESS`. */
export class StorePlace implements ResultPlace {
  readonly openMax: number = UPLOADS_MAX
  private readonly store: ObjectStore
  /** The key, if the place is one object. */
  private readonly only: string | undefined
  private readonly underWay = new Set<ResultFile>()
  private readonly finishing = new Set<Promise<unknown>>()
  private readonly written: string[] = []
  private readonly forget: () => void

  private constructor(store: ObjectStore, only: string | undefined) {
    this.store = store
    this.only = only
    this.forget = onEnd(() => this.abandon())
  }

  /** @throws EnvironmentError query.out, store.*; UnsupportedError path.scheme */
  static async open(url: string, isFile: boolean): Promise<StorePlace> {
    const [, folder = url, only] = (isFile ? /^(.*)\/([^/]+)$/ : /^(.*?)\/*$/).exec(url) ?? []
    if (only !== undefined && !isResultKey(only)) throw tooLong(only, folder)
    const place = new StorePlace(await openObjectStore(folder, { isKey: isResultKey }), only)
    try {
      if (only === undefined) await place.claim()
      else if (await place.store.head(only) !== undefined) throw notEmpty(url)
    } catch (error) {
      place.forget()
      throw error
    }
    return place
  }

  private async claim(): Promise<void> {
    const put = await this.store.put(CLAIM, new Uint8Array(0), { ifNoneMatch: true })
    if (put.outcome === 'unknown') {
      throw new EnvironmentError('store.unavailable', `the store did not say whether it wrote ${CLAIM}: ${put.reason}`, { file: this.store.url })
    }
    if (put.outcome === 'refused') throw unfinished(this.store.url)
    for await (const { key } of this.store.list('')) {
      if (key === CLAIM) continue
      await this.store.delete([CLAIM])
      throw notEmpty(this.store.url)
    }
  }

  async file(path: string): Promise<ResultFile> {
    const key = this.only ?? path
    if (!isResultKey(key)) throw tooLong(key, this.store.url)
    const upload = this.store.upload(key)
    const file: ResultFile = {
      write: (bytes) => upload.write(bytes),
      finish: async () => {
        this.written.push(key)
        const finished = upload.finish()
        this.finishing.add(finished)
        await finished
        this.finishing.delete(finished)
        this.underWay.delete(file)
      },
      abort: async () => {
        this.underWay.delete(file)
        await upload.abort()
      },
    }
    this.underWay.add(file)
    return file
  }

  async finish(): Promise<void> {
    if (this.only === undefined) {
      await this.store.put(SUCCESS, new Uint8Array(0))
      await this.store.delete([CLAIM])
    }
    this.forget()
  }

  async abandon(): Promise<void> {
    this.forget()
    await Promise.allSettled(this.finishing)
    for (const file of this.underWay) await file.abort()
    await this.store.delete([...this.written, ...(this.only === undefined ? [CLAIM] : [])])
  }
}

/** Names of partitions have more characters than those of a lake's objects. */
function isResultKey(key: string): boolean {
  const isName = (name: string): boolean => name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= NAME_BYTES_MAX
  return Buffer.byteLength(key) <= KEY_BYTES_MAX && key.split('/').every(isName)
}

function notEmpty(place: string): EnvironmentError {
  return new EnvironmentError('query.out', 'objects are there already, and nothing is written over: name another prefix, or remove them first', { file: place })
}

function unfinished(place: string): EnvironmentError {
  const advice = `if none does, it was killed: remove what is below this prefix, ${CLAIM} too, or name another one`
  return new EnvironmentError('query.out', `another ltap query writes here; ${advice}`, { file: place })
}

function tooLong(key: string, place: string): EnvironmentError {
  const reason = `an object would be called ${key}, and names of 255 bytes, ${KEY_BYTES_MAX} in all, are possible: use shorter ones`
  return new EnvironmentError('query.out', reason, { file: place })
}
